/**
 * What the chat shows: which conversation, which panel beside it, which dialog above it. Nothing of
 * it is kept but the conversation, which is in the address.
 */
import { type Signal, signal } from "@preact/signals";
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Message, Session } from "../../session/index";

/** What is open beside the conversation. */
export type Panel =
  | { readonly kind: "people" }
  | { readonly kind: "pins" }
  | { readonly kind: "thread"; readonly threadSeq: number };

/** What is open above everything. */
export type DialogState =
  | { readonly kind: "new" }
  | { readonly kind: "switch" }
  | { readonly kind: "channels" }
  | { readonly kind: "profile" }
  | { readonly kind: "add-people"; readonly conversationId: string }
  | { readonly kind: "describe"; readonly conversationId: string }
  | { readonly kind: "emoji"; readonly onPick: (emoji: string) => void }
  | { readonly kind: "reactions"; readonly conversationId: string; readonly message: Message }
  | {
      readonly kind: "confirm";
      readonly title: string;
      readonly text: string;
      readonly action: string;
      readonly onConfirm: () => void;
    };

/** A short notice. */
export interface Toast {
  readonly id: number;
  readonly text: string;
}

/** Everything that components share. */
export interface App {
  readonly session: Session;
  readonly me: string;
  /** In dev mode the second window can be offered. */
  readonly devMode: boolean;
  readonly selected: Signal<string | null>;
  readonly panel: Signal<Panel | null>;
  readonly dialog: Signal<DialogState | null>;
  readonly finding: Signal<boolean>;
  readonly toasts: Signal<readonly Toast[]>;
  /** What screen readers are told, the last few. */
  readonly announcements: Signal<readonly Toast[]>;
  select(conversationId: string | null): void;
  toast(text: string): void;
  announce(text: string): void;
  signOut(): void;
}

const TOAST_MS = 6_000;
const ANNOUNCED = 5;

function selectedInAddress(): string | null {
  return /^#\/c\/([0-9a-f]{32})$/.exec(window.location.hash)?.[1] ?? null;
}

/** The state of the chat for one session. Call the returned function when the session is over. */
export function createApp(options: {
  readonly session: Session;
  readonly devMode: boolean;
  readonly onSignOut: () => void;
}): readonly [App, () => void] {
  const selected = signal(selectedInAddress());
  const panel = signal<Panel | null>(null);
  const finding = signal(false);
  const toasts = signal<readonly Toast[]>([]);
  const announcements = signal<readonly Toast[]>([]);
  let lastId = 0;

  const show = (conversationId: string | null): void => {
    if (selected.value === conversationId) return;
    selected.value = conversationId;
    panel.value = null;
    finding.value = false;
  };
  const onHistory = (): void => show(selectedInAddress());
  window.addEventListener("popstate", onHistory);
  window.addEventListener("hashchange", onHistory);

  const app: App = {
    session: options.session,
    me: options.session.userId,
    devMode: options.devMode,
    selected,
    panel,
    dialog: signal<DialogState | null>(null),
    finding,
    toasts,
    announcements,
    select(conversationId) {
      if (conversationId === selected.value) return;
      const address = conversationId === null ? "#/" : `#/c/${conversationId}`;
      // Going from one conversation to the next is one step back to the list, not one for each.
      if (selected.value === null) window.history.pushState(null, "", address);
      else window.history.replaceState(null, "", address);
      show(conversationId);
    },
    toast(text) {
      lastId += 1;
      const id = lastId;
      toasts.value = [...toasts.value.slice(-2), { id, text }];
      window.setTimeout(() => {
        toasts.value = toasts.value.filter((toast) => toast.id !== id);
      }, TOAST_MS);
    },
    announce(text) {
      lastId += 1;
      announcements.value = [...announcements.value.slice(1 - ANNOUNCED), { id: lastId, text }];
    },
    signOut: options.onSignOut,
  };
  const dispose = (): void => {
    window.removeEventListener("popstate", onHistory);
    window.removeEventListener("hashchange", onHistory);
  };
  return [app, dispose];
}

/** Where components find the app. */
export const AppContext = createContext<App | null>(null);

/** The app. Only below its provider. */
export function useApp(): App {
  const app = useContext(AppContext);
  if (app === null) throw new Error("there is no app around this component");
  return app;
}
