/**
 * The left pane: who one is, the filter, the connection, and the list of conversations.
 */
import type { JSX } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";
import type { ConversationListItem } from "../../session/index";
import { Icon } from "../icons";
import { roveVertically } from "../kit/focus";
import { Menu, type MenuEntry, type MenuPlace } from "../kit/menu";
import { Avatar, Button, Empty, IconButton } from "../kit/parts";
import { type App, useApp } from "../state/app";
import { titleOfItem, useNames } from "../state/people";
import { setTheme, theme } from "../state/preferences";
import { useStore } from "../state/stores";
import { strings } from "../strings";
import { ConnectionBar } from "./connection-bar";
import { ConversationRow } from "./row";

/** The pane. */
export function Sidebar(): JSX.Element {
  const app = useApp();
  const list = useStore(app.session.conversations);
  const presence = useStore(app.session.presence);
  const nameOf = useNames();
  const [query, setQuery] = useState("");
  const [archived, setArchived] = useState(false);
  const rows = useRef<HTMLUListElement>(null);
  const shown = useMemo(() => arrange(list.items, query, archived, nameOf), [list, query, archived, nameOf]);
  const archivedCount = list.items.filter((item) => item.settings.archived).length;
  const selected = app.selected.value;
  const tabbable = shown.some((item) => item.conversationId === selected) ? selected : shown[0]?.conversationId;

  return (
    <nav class="sidebar" aria-label={strings.conversations}>
      <SidebarHeader />
      <div class="sidebar-search">
        <label class="search-field">
          <span class="visually-hidden">{strings.filterConversations}</span>
          <Icon name="search" />
          <input
            class="input"
            type="text"
            placeholder={strings.filterConversations}
            value={query}
            onInput={(event) => setQuery(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === "ArrowDown") roveVertically(event, rows.current, ".conversation-row");
            }}
          />
        </label>
      </div>
      <ConnectionBar />
      {archived && (
        <button type="button" class="archive-link" onClick={() => setArchived(false)}>
          <Icon name="back" class="icon-small" />
          {strings.archivedConversations}
        </button>
      )}
      <div class="sidebar-list scroll">
        {list.status === "loading" && list.items.length === 0 && <ListSkeleton />}
        {list.status === "failed" && list.items.length === 0 && (
          <Empty icon="warning" title={strings.listFailed}>
            <Button onClick={() => app.session.retryNow()}>{strings.tryAgain}</Button>
          </Empty>
        )}
        {list.status === "ready" && shown.length === 0 && <NoConversations filtered={query !== ""} archived={archived} />}
        <ul
          ref={rows}
          aria-label={strings.conversations}
          onKeyDown={(event) => roveVertically(event, rows.current, ".conversation-row")}
        >
          {shown.map((item) => (
            <ConversationRow
              key={item.conversationId}
              item={item}
              title={titleOfItem(item, nameOf)}
              presence={item.peerId === null ? undefined : presence.get(item.peerId)?.status}
              selected={item.conversationId === selected}
              focusable={item.conversationId === tabbable}
              me={app.me}
              nameOf={nameOf}
              onSelect={app.select}
            />
          ))}
        </ul>
        {!archived && archivedCount > 0 && query === "" && (
          <button type="button" class="archive-link" onClick={() => setArchived(true)}>
            <Icon name="archive" class="icon-small" />
            {strings.archivedConversations}
            <span class="archive-count">{archivedCount}</span>
          </button>
        )}
      </div>
    </nav>
  );
}

/** Favourites first, then as the session orders them; while filtering, everything that matches. */
function arrange(
  items: readonly ConversationListItem[],
  query: string,
  archived: boolean,
  nameOf: (userId: string) => string,
): readonly ConversationListItem[] {
  const wanted = query.trim().toLowerCase();
  const shown = items.filter((item) =>
    wanted === "" ? item.settings.archived === archived : titleOfItem(item, nameOf).toLowerCase().includes(wanted),
  );
  const favourites = shown.filter((item) => item.settings.favourite);
  return [...favourites, ...shown.filter((item) => !item.settings.favourite)];
}

function SidebarHeader(): JSX.Element {
  const app = useApp();
  const nameOf = useNames();
  const [menuAt, setMenuAt] = useState<MenuPlace | null>(null);
  return (
    <header class="header sidebar-header">
      <button
        type="button"
        class="account"
        aria-haspopup="menu"
        aria-expanded={menuAt !== null}
        onClick={(event) => setMenuAt(event.currentTarget.getBoundingClientRect())}
      >
        <Avatar id={app.me} name={nameOf(app.me)} size="small" />
        <span class="account-name line">{nameOf(app.me)}</span>
        <span class="visually-hidden">{strings.accountMenu}</span>
        <Icon name="chevronDown" class="icon-small" />
      </button>
      <span class="grow" />
      <IconButton icon="plus" label={strings.newConversation} onClick={() => openDialog(app, "new")} />
      {menuAt !== null && (
        <Menu label={strings.accountMenu} at={menuAt} entries={accountMenu(app)} onClose={() => setMenuAt(null)} />
      )}
    </header>
  );
}

function openDialog(app: App, kind: "new" | "switch" | "channels" | "profile"): void {
  app.dialog.value = { kind };
}

function accountMenu(app: App): readonly MenuEntry[] {
  const themes: readonly MenuEntry[] = [
    { label: strings.themeSystem, icon: "contrast", onSelect: () => setTheme("system") },
    { label: strings.themeLight, icon: "sun", onSelect: () => setTheme("light") },
    { label: strings.themeDark, icon: "moon", onSelect: () => setTheme("dark") },
  ];
  const order = ["system", "light", "dark"];
  const other = themes.filter((_, index) => order[index] !== theme.value);
  const entries: MenuEntry[] = [
    { label: strings.yourName, icon: "person", onSelect: () => openDialog(app, "profile") },
    { label: strings.browseChannels, icon: "hash", onSelect: () => openDialog(app, "channels") },
    { label: strings.switchConversation, icon: "search", onSelect: () => openDialog(app, "switch") },
    "line",
    ...other,
    "line",
  ];
  if (app.devMode) {
    const second = app.me === "bob" ? "alice" : "bob";
    entries.push({
      label: strings.secondWindow(second),
      icon: "window",
      onSelect: () => window.open(`/?as=${second}`, "_blank", "noopener"),
    });
  }
  entries.push({ label: strings.signOut, icon: "signOut", onSelect: app.signOut });
  return entries;
}

function NoConversations(props: { readonly filtered: boolean; readonly archived: boolean }): JSX.Element {
  const app = useApp();
  if (props.filtered) return <Empty icon="search" title={strings.noMatch} />;
  if (props.archived) return <Empty icon="archive" title={strings.nothingArchived} />;
  return (
    <Empty icon="thread" title={strings.noConversations}>
      <p>{strings.noConversationsHint}</p>
      <Button kind="primary" icon="plus" onClick={() => openDialog(app, "new")}>
        {strings.newConversation}
      </Button>
    </Empty>
  );
}

function ListSkeleton(): JSX.Element {
  return (
    <div role="status">
      <span class="visually-hidden">{strings.loading}</span>
      {["w-50", "w-65", "w-40", "w-60", "w-50", "w-30"].map((width, index) => (
        <div key={index} class="row-skeleton" aria-hidden="true">
          <div class="skeleton skeleton-avatar" />
          <div class="grow">
            <div class={`skeleton skeleton-line ${width}`} />
            <div class="skeleton skeleton-line w-75" />
          </div>
        </div>
      ))}
    </div>
  );
}
