/**
 * Dialogs of one question or one list: confirm, one's name, a conversation's title, who reacted.
 */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { type Message, SessionError } from "../../session/index";
import { Dialog } from "../kit/dialog";
import { Avatar, Button } from "../kit/parts";
import { useApp } from "../state/app";
import { useHandle } from "../state/handle";
import { useNames } from "../state/people";
import { strings } from "../strings";

/** Asks before something that cannot be undone. */
export function ConfirmDialog(props: {
  readonly title: string;
  readonly text: string;
  readonly action: string;
  readonly onConfirm: () => void;
  readonly onClose: () => void;
}): JSX.Element {
  return (
    <Dialog
      title={props.title}
      onClose={props.onClose}
      footer={
        <>
          <Button onClick={props.onClose}>{strings.cancel}</Button>
          <Button
            kind="danger"
            onClick={() => {
              props.onClose();
              props.onConfirm();
            }}
          >
            {props.action}
          </Button>
        </>
      }
    >
      <p class="dialog-note">{props.text}</p>
    </Dialog>
  );
}

/** A field in a dialog that saves. */
function FieldDialog(props: {
  readonly title: string;
  readonly label: string;
  readonly hint: string;
  readonly value: string;
  readonly maxLength: number;
  readonly onSave: (value: string) => Promise<void>;
  readonly onClose: () => void;
}): JSX.Element {
  const [value, setValue] = useState(props.value);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const save = async (): Promise<void> => {
    setBusy(true);
    try {
      await props.onSave(value.trim());
      props.onClose();
    } catch (thrown) {
      setError(strings.failure(SessionError.from(thrown)));
      setBusy(false);
    }
  };
  return (
    <Dialog
      title={props.title}
      onClose={props.onClose}
      footer={
        <>
          <Button onClick={props.onClose}>{strings.cancel}</Button>
          <Button kind="primary" disabled={busy || value.trim() === ""} onClick={() => void save()}>
            {strings.save}
          </Button>
        </>
      }
    >
      <label class="field">
        <span class="field-label">{props.label}</span>
        <input
          class="input"
          type="text"
          data-autofocus
          maxLength={props.maxLength}
          value={value}
          onInput={(event) => setValue(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && value.trim() !== "" && !event.isComposing) void save();
          }}
        />
      </label>
      <p class="field-hint">{props.hint}</p>
      {error !== "" && (
        <p class="field-error" role="alert">
          {error}
        </p>
      )}
    </Dialog>
  );
}

/** One's own name. */
export function ProfileDialog(props: { readonly onClose: () => void }): JSX.Element {
  const app = useApp();
  const nameOf = useNames();
  return (
    <FieldDialog
      title={strings.yourName}
      label={strings.displayName}
      hint={strings.displayNameHint}
      value={nameOf(app.me)}
      maxLength={100}
      onSave={(name) => app.session.setDisplayName(name)}
      onClose={props.onClose}
    />
  );
}

/** A group's title. */
export function DescribeDialog(props: { readonly conversationId: string; readonly onClose: () => void }): JSX.Element {
  const handle = useHandle(props.conversationId);
  return (
    <FieldDialog
      title={strings.rename}
      label={strings.title}
      hint={strings.titleHint}
      value={handle.getSnapshot().conversation?.title ?? ""}
      maxLength={200}
      onSave={(title) => handle.update({ title })}
      onClose={props.onClose}
    />
  );
}

interface Reacted {
  readonly userId: string;
  readonly emoji: readonly string[];
}

/** Who reacted to a message with what. */
export function ReactionsDialog(props: {
  readonly conversationId: string;
  readonly message: Message;
  readonly onClose: () => void;
}): JSX.Element {
  const handle = useHandle(props.conversationId);
  const nameOf = useNames();
  const [who, setWho] = useState<readonly Reacted[] | null>(null);
  const [error, setError] = useState("");
  useEffect(() => {
    let shown = true;
    handle.listReactions(props.message.seq).then(
      (all) => shown && setWho(all),
      (thrown: unknown) => shown && setError(strings.failure(SessionError.from(thrown))),
    );
    return () => {
      shown = false;
    };
  }, []);
  return (
    <Dialog title={strings.reactions} onClose={props.onClose}>
      {error !== "" && <p role="alert">{error}</p>}
      {who === null && error === "" && <p class="dialog-note">{strings.loading}</p>}
      <ul>
        {(who ?? []).map(({ userId, emoji }) => (
          <li key={userId} class="person">
            <Avatar id={userId} name={nameOf(userId)} size="small" />
            <span class="pick-name line grow">{nameOf(userId)}</span>
            <span class="who-emoji">{emoji.join(" ")}</span>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
