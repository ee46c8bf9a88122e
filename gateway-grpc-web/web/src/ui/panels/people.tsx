/**
 * The people of a conversation: their roles and presence, and what one may do about them.
 */
import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import type { ConversationHandle, ConversationView, Participant } from "../../session/index";
import { attempt } from "../chat/actions";
import { Icon } from "../icons";
import { roveVertically } from "../kit/focus";
import { Menu, type MenuEntry, type MenuPlace } from "../kit/menu";
import { Avatar, Button, IconButton } from "../kit/parts";
import { type App, useApp } from "../state/app";
import { useNames } from "../state/people";
import { useStore } from "../state/stores";
import { strings } from "../strings";
import { PanelFrame } from "./panel";

/** Drawn at once; more when asked for, so that a channel of 10,000 opens as fast as a pair. */
const SHOWN = 100;
const RANK = { owner: 0, admin: 1, member: 2 } as const;

interface OpenMenu {
  readonly participant: Participant;
  readonly at: MenuPlace;
}

/** The panel. */
export function PeoplePanel(props: { readonly handle: ConversationHandle }): JSX.Element {
  const { handle } = props;
  const app = useApp();
  const view = useStore(handle);
  const nameOf = useNames();
  const list = useRef<HTMLUListElement>(null);
  const [shown, setShown] = useState(SHOWN);
  const [menu, setMenu] = useState<OpenMenu | null>(null);
  const direct = view.conversation?.type === "direct";
  const people = [...view.participants].sort(
    (one, other) => RANK[one.role] - RANK[other.role] || nameOf(one.userId).localeCompare(nameOf(other.userId)),
  );
  return (
    <PanelFrame title={strings.people}>
      <div class="panel-body scroll">
        {view.conversation !== null && view.conversation.description !== "" && (
          <p class="panel-about" dir="auto">
            {view.conversation.description}
          </p>
        )}
        {view.rights.addPeople && (
          <button
            type="button"
            class="pick pick-add"
            onClick={() => {
              app.dialog.value = { kind: "add-people", conversationId: view.conversationId };
            }}
          >
            <span class="avatar avatar-add">
              <Icon name="plus" />
            </span>
            <span class="pick-name">{strings.addPeople}</span>
          </button>
        )}
        <ul ref={list} onKeyDown={(event) => roveVertically(event, list.current, ".person-menu")}>
          {people.slice(0, shown).map((participant) => (
            <PersonRow
              key={participant.userId}
              participant={participant}
              direct={direct}
              nameOf={nameOf}
              onMenu={(at) => setMenu({ participant, at })}
            />
          ))}
        </ul>
        {people.length > shown && (
          <Button wide kind="plain" onClick={() => setShown(shown + SHOWN)}>
            {strings.showMore(people.length - shown)}
          </Button>
        )}
      </div>
      {view.rights.leave && (
        <div class="panel-footer">
          <Button wide kind="danger" icon="leave" onClick={() => confirmLeave(app, handle)}>
            {strings.leaveConversation}
          </Button>
        </div>
      )}
      {menu !== null && (
        <Menu
          label={strings.actionsFor(nameOf(menu.participant.userId))}
          at={menu.at}
          entries={personMenu(app, handle, view, menu.participant, nameOf)}
          onClose={() => setMenu(null)}
        />
      )}
    </PanelFrame>
  );
}

function PersonRow(props: {
  readonly participant: Participant;
  readonly direct: boolean;
  readonly nameOf: (userId: string) => string;
  readonly onMenu: (at: MenuPlace) => void;
}): JSX.Element {
  const { participant } = props;
  const app = useApp();
  const presence = useStore(app.session.presence).get(participant.userId);
  const name = props.nameOf(participant.userId);
  const own = participant.userId === app.me;
  return (
    <li class="person">
      <Avatar id={participant.userId} name={name} presence={own ? "online" : presence?.status} />
      <span class="grow">
        <span class="pick-name line">{own ? strings.nameAndYou(name) : name}</span>
        <span class="pick-note line">
          @{participant.userId}
          {participant.mute !== null && ` · ${strings.mayNotWrite}`}
        </span>
      </span>
      {!props.direct && participant.role !== "member" && (
        <span class="tag">{strings.roles[participant.role]}</span>
      )}
      {!own && (
        <IconButton
          small
          class="person-menu"
          icon="more"
          label={strings.actionsFor(name)}
          onClick={(event) => {
            if (event.currentTarget instanceof HTMLElement) props.onMenu(event.currentTarget.getBoundingClientRect());
          }}
        />
      )}
    </li>
  );
}

/** What this user may do about another. */
function personMenu(
  app: App,
  handle: ConversationHandle,
  view: ConversationView,
  participant: Participant,
  nameOf: (userId: string) => string,
): readonly MenuEntry[] {
  const { userId } = participant;
  const name = nameOf(userId);
  const group: MenuEntry[] = [];
  if (view.rights.changeRoles && participant.role !== "owner") {
    const next = participant.role === "admin" ? "member" : "admin";
    group.push({
      label: next === "admin" ? strings.makeAdmin : strings.makeMember,
      icon: "star",
      onSelect: () => void attempt(app, handle.setRole(userId, next)),
    });
    group.push({ label: strings.makeOwner, icon: "crown", onSelect: () => confirmOwner(app, handle, userId, name) });
  }
  if (view.rights.moderate(participant)) {
    const muted = participant.mute !== null;
    group.push({
      label: muted ? strings.letWrite : strings.stopWriting,
      icon: muted ? "bell" : "bellOff",
      onSelect: () => void attempt(app, handle.mute(userId, !muted)),
    });
    group.push({
      label: strings.remove,
      icon: "leave",
      danger: true,
      onSelect: () => confirmRemove(app, handle, userId, name),
    });
  }
  const direct = view.conversation?.type === "direct";
  const blocked = view.conversation?.blockedByIds.includes(app.me) ?? false;
  const own: MenuEntry[] = direct
    ? [
        {
          label: blocked ? strings.unblock : strings.block,
          icon: "warning",
          danger: !blocked,
          onSelect: () => void attempt(app, app.session.blockPerson(userId, !blocked)),
        },
      ]
    : [{ label: strings.writeTo(name), icon: "thread", onSelect: () => void openDirect(app, userId) }];
  return group.length > 0 ? [...own, "line", ...group] : own;
}

async function openDirect(app: App, userId: string): Promise<void> {
  await attempt(
    app,
    app.session.openDirect(userId).then((conversationId) => app.select(conversationId)),
  );
}

function confirmOwner(app: App, handle: ConversationHandle, userId: string, name: string): void {
  app.dialog.value = {
    kind: "confirm",
    title: strings.makeOwnerTitle(name),
    text: strings.makeOwnerText,
    action: strings.makeOwner,
    onConfirm: () => void attempt(app, handle.transferOwnership(userId)),
  };
}

function confirmRemove(app: App, handle: ConversationHandle, userId: string, name: string): void {
  app.dialog.value = {
    kind: "confirm",
    title: strings.removeTitle(name),
    text: strings.removeText,
    action: strings.remove,
    onConfirm: () => void attempt(app, handle.removePerson(userId)),
  };
}

function confirmLeave(app: App, handle: ConversationHandle): void {
  app.dialog.value = {
    kind: "confirm",
    title: strings.leaveTitle,
    text: strings.leaveText,
    action: strings.leaveConversation,
    onConfirm: () => {
      void attempt(app, handle.leave()).then((left) => {
        if (left) app.select(null);
      });
    },
  };
}
