/**
 * The sign-in: in dev mode a choice of ready people, else a field for a token.
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Icon, Mark } from "./icons";
import { Avatar, Button } from "./kit/parts";
import { checkSignIn, isUserId, signIn, signInMode, signInNote } from "./state/signin";
import { strings } from "./strings";

/** The page of somebody who is not signed in. */
export function SignIn(): JSX.Element {
  const mode = signInMode.value;
  return (
    <main class="sign-in scroll">
      <div class="sign-in-card">
        <Mark class="sign-in-mark" />
        <h1 class="sign-in-title">{strings.product}</h1>
        {signInNote.value !== "" && (
          <p class="notice" role="alert">
            {signInNote.value}
          </p>
        )}
        {mode === "checking" && <p class="sign-in-text">{strings.connecting}</p>}
        {mode === "unreachable" && <Unreachable />}
        {mode === "dev" && <DevSignIn />}
        {mode === "token" && <TokenSignIn />}
      </div>
    </main>
  );
}

function Unreachable(): JSX.Element {
  return (
    <>
      <p class="sign-in-text" role="alert">
        {strings.serverUnreachable}
      </p>
      <Button kind="primary" wide icon="retry" onClick={() => void checkSignIn()}>
        {strings.tryAgain}
      </Button>
    </>
  );
}

function DevSignIn(): JSX.Element {
  const [name, setName] = useState("");
  const [error, setError] = useState("");
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const user = name.trim();
    if (isUserId(user)) signIn({ kind: "dev", user });
    else setError(strings.userIdRule);
  };
  return (
    <>
      <p class="sign-in-text">{strings.devIntro}</p>
      <div class="sign-in-choices">
        <button type="button" class="choice" onClick={() => signIn({ kind: "dev", user: "alice" })}>
          <Avatar id="alice" name="Alice" />
          <span class="grow">
            <span class="choice-title">{strings.openAs("Alice")}</span>
            <span class="choice-note">{strings.inThisWindow}</span>
          </span>
          <Icon name="chevronRight" />
        </button>
        <a class="choice" href="/?as=bob" target="_blank" rel="noopener">
          <Avatar id="bob" name="Bob" />
          <span class="grow">
            <span class="choice-title">{strings.openAs("Bob")}</span>
            <span class="choice-note">{strings.inSecondWindow}</span>
          </span>
          <Icon name="window" />
        </a>
      </div>
      <form class="sign-in-other" onSubmit={submit}>
        <label class="field grow">
          <span class="field-label">{strings.anotherName}</span>
          <input
            class="input"
            type="text"
            autocomplete="off"
            autocapitalize="none"
            spellcheck={false}
            placeholder="carol"
            value={name}
            onInput={(event) => {
              setName(event.currentTarget.value);
              setError("");
            }}
          />
        </label>
        <Button submit disabled={name.trim() === ""}>
          {strings.openAction}
        </Button>
      </form>
      {error !== "" && (
        <p class="field-error" role="alert">
          {error}
        </p>
      )}
      <p class="sign-in-small">{strings.devNote}</p>
    </>
  );
}

function TokenSignIn(): JSX.Element {
  const [token, setToken] = useState("");
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        signIn({ kind: "token", token: token.trim() });
      }}
    >
      <label class="field">
        <span class="field-label">{strings.token}</span>
        <textarea
          class="input token-field"
          rows={4}
          spellcheck={false}
          autocomplete="off"
          value={token}
          onInput={(event) => setToken(event.currentTarget.value)}
        />
      </label>
      <p class="field-hint">{strings.tokenHint}</p>
      <Button submit kind="primary" wide disabled={token.trim() === ""}>
        {strings.signIn}
      </Button>
    </form>
  );
}
