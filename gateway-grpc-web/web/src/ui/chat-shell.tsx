/**
 * The chat of somebody who is signed in: panes, dialogs, notices, and the keys that work everywhere.
 */
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { ConversationScreen } from "./chat/conversation";
import { OpenDialog } from "./dialogs/dialogs";
import { Mark } from "./icons";
import { Button } from "./kit/parts";
import { Sidebar } from "./list/sidebar";
import { type App, AppContext, useApp } from "./state/app";
import { useStore } from "./state/stores";
import { strings } from "./strings";

/** Everything after the sign-in. */
export function ChatShell(props: { readonly app: App }): JSX.Element {
  return (
    <AppContext.Provider value={props.app}>
      <Shell />
    </AppContext.Provider>
  );
}

function Shell(): JSX.Element {
  const app = useApp();
  const selected = app.selected.value;
  useKeys(app);
  useWindowTitle(app);
  useReturnToList(selected);
  const dialogOpen = app.dialog.value !== null;
  return (
    <>
      <a class="skip-link" href="#conversation" onClick={skipToConversation}>
        {strings.skipToConversation}
      </a>
      <main class={`shell ${selected === null ? "" : "shell-open"}`} inert={dialogOpen}>
        <h1 class="visually-hidden">{strings.product}</h1>
        <Sidebar />
        <div id="conversation" class="main" tabIndex={-1}>
          {selected === null ? <Welcome /> : <ConversationScreen key={selected} conversationId={selected} />}
        </div>
      </main>
      <OpenDialog />
      <Toasts />
      <Announcer />
    </>
  );
}

/** The address names the conversation, so the link moves the focus and leaves it alone. */
function skipToConversation(event: MouseEvent): void {
  event.preventDefault();
  const target = document.querySelector<HTMLElement>(".conversation [data-focus-home]");
  (target ?? document.getElementById("conversation"))?.focus();
}

function Welcome(): JSX.Element {
  const app = useApp();
  const list = useStore(app.session.conversations);
  return (
    <div class="empty welcome">
      <Mark class="welcome-mark" />
      <h2 class="empty-title">{list.items.length === 0 ? strings.welcome : strings.chooseConversation}</h2>
      <p>{strings.welcomeHint}</p>
      <Button
        icon="plus"
        onClick={() => {
          app.dialog.value = { kind: "new" };
        }}
      >
        {strings.newConversation}
      </Button>
    </div>
  );
}

/** On a narrow window the list comes back with the focus where it was. */
function useReturnToList(selected: string | null): void {
  useEffect(() => {
    if (selected !== null) return;
    if (document.activeElement !== document.body && document.activeElement !== null) return;
    document.querySelector<HTMLElement>('.conversation-row[tabindex="0"]')?.focus();
  }, [selected]);
}

/** Ctrl+K switches, Ctrl+F finds: only while no dialog is open. */
function useKeys(app: App): void {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent): void => {
      const command = (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey;
      if (!command || app.dialog.value !== null) return;
      const key = event.key.toLowerCase();
      if (key === "k") app.dialog.value = { kind: "switch" };
      else if (key === "f" && app.selected.value !== null) app.finding.value = true;
      else return;
      event.preventDefault();
    };
    document.addEventListener("keydown", onKeyDown);
    return () => document.removeEventListener("keydown", onKeyDown);
  }, [app]);
}

/** The number of unread messages, for whoever looks at another tab. */
function useWindowTitle(app: App): void {
  const { unread } = useStore(app.session.conversations);
  useEffect(() => {
    document.title = unread === 0 ? strings.product : `(${unread > 99 ? "99+" : unread}) ${strings.product}`;
  }, [unread]);
}

function Toasts(): JSX.Element {
  const app = useApp();
  return (
    <div class="toasts" role="status" aria-live="polite">
      {app.toasts.value.map(({ id, text }) => (
        <p key={id} class="toast">
          {text}
        </p>
      ))}
    </div>
  );
}

function Announcer(): JSX.Element {
  const app = useApp();
  return (
    <div class="visually-hidden" role="log" aria-live="polite" aria-label={strings.newMessages}>
      {app.announcements.value.map(({ id, text }) => (
        <p key={id}>{text}</p>
      ))}
    </div>
  );
}
