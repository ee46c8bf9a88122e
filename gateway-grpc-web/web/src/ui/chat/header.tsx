/**
 * The head of a conversation: who it is with, how present they are, and what can be opened.
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { ConversationView, Presence } from "../../session/index";
import { Menu, type MenuEntry, type MenuPlace } from "../kit/menu";
import { Avatar, IconButton } from "../kit/parts";
import { type App, useApp } from "../state/app";
import { useStore } from "../state/stores";
import { strings } from "../strings";
import { lastSeen } from "../text/time";
import { attempt } from "./actions";

/** The header. */
export function ConversationHeader(props: {
  readonly view: ConversationView;
  readonly title: string;
  readonly peerId: string | null;
  readonly nameOf: (userId: string) => string;
}): JSX.Element {
  const { view, title } = props;
  const app = useApp();
  const [menuAt, setMenuAt] = useState<MenuPlace | null>(null);
  const presence = useStore(app.session.presence);
  const direct = view.conversation?.type === "direct";
  const peer = props.peerId === null ? undefined : presence.get(props.peerId);
  const panel = app.panel.value?.kind;
  return (
    <header class="header">
      <IconButton class="back" icon="back" label={strings.back} onClick={() => app.select(null)} />
      <button
        type="button"
        class="header-about"
        onClick={() => togglePanel(app, "people")}
      >
        <Avatar
          id={direct ? (props.peerId ?? "") : view.conversationId}
          name={title}
          icon={direct ? undefined : view.conversation?.type === "channel" ? "hash" : "people"}
          presence={direct ? peer?.status : undefined}
        />
        <span class="grow">
          <span class="header-title line" dir="auto">
            {title}
          </span>
          <span class="visually-hidden">{strings.showPeople} </span>
          <span class="header-note line">{direct ? presenceText(peer) : groupText(view, presence, app.me)}</span>
        </span>
      </button>
      <IconButton
        icon="search"
        label={strings.find}
        pressed={app.finding.value}
        onClick={() => {
          app.finding.value = !app.finding.value;
        }}
      />
      <IconButton
        icon="people"
        label={strings.people}
        pressed={panel === "people"}
        onClick={() => togglePanel(app, "people")}
      />
      <IconButton
        icon="more"
        label={strings.conversationMenu}
        expanded={menuAt !== null}
        onClick={(event) => {
          if (event.currentTarget instanceof HTMLElement) setMenuAt(event.currentTarget.getBoundingClientRect());
        }}
      />
      {menuAt !== null && (
        <Menu
          label={strings.conversationMenu}
          at={menuAt}
          entries={conversationMenu(app, view)}
          onClose={() => setMenuAt(null)}
        />
      )}
    </header>
  );
}

function togglePanel(app: App, kind: "people" | "pins"): void {
  app.panel.value = app.panel.value?.kind === kind ? null : { kind };
}

function presenceText(presence: Presence | undefined): string {
  if (presence === undefined) return "";
  if (presence.status === "online") return presence.text === "" ? strings.online : presence.text;
  if (presence.status === "away") return strings.away;
  if (presence.lastSeenTime === null) return strings.offline;
  return lastSeen(new Date(presence.lastSeenTime), new Date());
}

function groupText(view: ConversationView, presence: ReadonlyMap<string, Presence>, me: string): string {
  const count = view.conversation?.participantCount ?? view.participants.length;
  const online = view.participants.filter(
    ({ userId }) => userId === me || (presence.get(userId)?.status ?? "offline") !== "offline",
  ).length;
  return online > 1 ? strings.peopleAndOnline(count, online) : strings.peopleCount(count);
}

/** What one can do with a conversation for oneself, and for everyone. */
function conversationMenu(app: App, view: ConversationView): readonly MenuEntry[] {
  const { conversationId, rights } = view;
  const item = app.session.conversations.getSnapshot().items.find((one) => one.conversationId === conversationId);
  const settings = item?.settings;
  const entries: MenuEntry[] = [
    { label: strings.pinnedMessages, icon: "pin", onSelect: () => togglePanel(app, "pins") },
    {
      label: settings?.muted === true ? strings.unmute : strings.mute,
      icon: settings?.muted === true ? "bell" : "bellOff",
      onSelect: () => void attempt(app, app.session.setSettings(conversationId, { muted: settings?.muted !== true })),
    },
    {
      label: settings?.favourite === true ? strings.unfavourite : strings.favourite,
      icon: "star",
      onSelect: () =>
        void attempt(app, app.session.setSettings(conversationId, { favourite: settings?.favourite !== true })),
    },
    {
      label: settings?.archived === true ? strings.unarchive : strings.archive,
      icon: "archive",
      onSelect: () =>
        void attempt(app, app.session.setSettings(conversationId, { archived: settings?.archived !== true })),
    },
  ];
  if (rights.describe && view.conversation?.type !== "direct") {
    entries.push({
      label: strings.rename,
      icon: "edit",
      onSelect: () => {
        app.dialog.value = { kind: "describe", conversationId };
      },
    });
  }
  return entries;
}
