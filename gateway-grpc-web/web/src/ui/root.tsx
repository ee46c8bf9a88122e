/**
 * From the sign-in to the chat and back: makes a session for whoever is signed in, and ends it.
 */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { createSession, type Session, SessionError } from "../session/index";
import { ChatShell } from "./chat-shell";
import { Mark } from "./icons";
import { Button } from "./kit/parts";
import { SignIn } from "./sign-in";
import { type App, createApp } from "./state/app";
import { nameOfId } from "./text/names";
import { type Credentials, checkSignIn, credentials, getToken, signOut } from "./state/signin";
import { strings } from "./strings";

/** The whole page. */
export function Root(): JSX.Element {
  useEffect(() => void checkSignIn(), []);
  const current = credentials.value;
  if (current === null) return <SignIn />;
  return <SignedIn key={JSON.stringify(current)} credentials={current} />;
}

type Start = { readonly app: App } | { readonly error: string } | null;

function SignedIn(props: { readonly credentials: Credentials }): JSX.Element {
  const [attempt, setAttempt] = useState(0);
  const start = useSession(props.credentials, attempt);
  if (start !== null && "app" in start) return <ChatShell app={start.app} />;
  return (
    <main class="starting">
      <Mark class="sign-in-mark" />
      {start === null ? (
        <p role="status">{strings.connecting}</p>
      ) : (
        <>
          <p role="alert">{start.error}</p>
          <div class="starting-actions">
            <Button onClick={() => signOut()}>{strings.signOut}</Button>
            <Button kind="primary" icon="retry" onClick={() => setAttempt(attempt + 1)}>
              {strings.tryAgain}
            </Button>
          </div>
        </>
      )}
    </main>
  );
}

/** The session of these credentials, closed when the component goes. */
function useSession(from: Credentials, attempt: number): Start {
  const [start, setStart] = useState<Start>(null);
  useEffect(() => {
    let over = false;
    let stop = (): void => undefined;
    setStart(null);
    createSession({
      baseUrl: window.location.origin,
      getToken: () => getToken(from),
      storage: window.sessionStorage,
      onProblem: (what) => console.warn(what),
    }).then(
      (session) => {
        if (over) {
          void session.close();
          return;
        }
        const [app, dispose] = createApp({
          session,
          devMode: from.kind === "dev",
          onSignOut: () => void session.close({ revoke: true }).finally(() => signOut()),
        });
        const unwatch = endWithSession(session);
        stop = () => {
          unwatch();
          dispose();
          void session.close();
        };
        if (from.kind === "dev") void welcomeDev(app, from.user);
        setStart({ app });
      },
      (thrown: unknown) => {
        if (over) return;
        const error = SessionError.from(thrown);
        const isBad = error.isUnauthenticated || error.kind === "token";
        if (isBad && from.kind === "token") signOut(strings.tokenRefused);
        else if (error.isUnauthenticated) signOut(strings.signInEnded);
        else setStart({ error: strings.failure(error) });
      },
    );
    return () => {
      over = true;
      stop();
    };
  }, [attempt]);
  return start;
}

/** Goes back to the sign-in when the session says that it is over. */
function endWithSession(session: Session): () => void {
  return session.connection.subscribe(() => {
    const connection = session.connection.getSnapshot();
    if (connection.status !== "ended" || connection.why === "closed") return;
    signOut(connection.why === "ended-elsewhere" ? strings.endedElsewhere : strings.signInEnded);
  });
}

/** The first minute in dev mode: a name to be found by, and for Alice and Bob a conversation. */
async function welcomeDev(app: App, user: string): Promise<void> {
  const { session } = app;
  try {
    const person = await session.searchPeople(user);
    if (!person.some(({ userId }) => userId === user)) await session.setDisplayName(nameOfId(user));
    const other = user === "alice" ? "bob" : user === "bob" ? "alice" : null;
    if (other === null) return;
    const conversationId = await session.openDirect(other);
    const wide = window.matchMedia("(min-width: 768px)").matches;
    if (app.selected.value === null && wide) app.select(conversationId);
  } catch {
    // All of it can be done by hand, and the connection's bar says what is wrong.
  }
}
