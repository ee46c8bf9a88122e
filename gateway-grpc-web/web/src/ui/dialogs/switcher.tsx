/**
 * The dialog that goes to another conversation by a few letters (Ctrl+K).
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Icon } from "../icons";
import { Dialog } from "../kit/dialog";
import { Avatar } from "../kit/parts";
import { useApp } from "../state/app";
import { titleOfItem, useNames } from "../state/people";
import { useStore } from "../state/stores";
import { strings } from "../strings";

const SHOWN = 8;
const LIST = "switcher-list";

/** The dialog; the focus stays in its field, the arrows move the choice. */
export function SwitcherDialog(props: { readonly onClose: () => void }): JSX.Element {
  const app = useApp();
  const list = useStore(app.session.conversations);
  const nameOf = useNames();
  const [query, setQuery] = useState("");
  const [at, setAt] = useState(0);
  const wanted = query.trim().toLowerCase();
  const found = list.items
    .map((item) => ({ item, title: titleOfItem(item, nameOf) }))
    .filter(({ title }) => title.toLowerCase().includes(wanted))
    .slice(0, SHOWN);
  const chosen = Math.min(at, Math.max(found.length - 1, 0));
  const go = (index: number): void => {
    const target = found[index];
    if (target === undefined) return;
    props.onClose();
    app.select(target.item.conversationId);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "ArrowDown") setAt((chosen + 1) % Math.max(found.length, 1));
    else if (event.key === "ArrowUp") setAt((chosen + found.length - 1) % Math.max(found.length, 1));
    else if (event.key === "Enter") go(chosen);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog title={strings.switchConversation} onClose={props.onClose}>
      <div class="search-field">
        <Icon name="search" />
        <input
          class="input"
          type="text"
          role="combobox"
          data-autofocus
          autocomplete="off"
          aria-label={strings.switchConversation}
          aria-expanded="true"
          aria-controls={LIST}
          aria-autocomplete="list"
          aria-activedescendant={found.length > 0 ? `${LIST}-${chosen}` : undefined}
          placeholder={strings.switchPlaceholder}
          value={query}
          onInput={(event) => {
            setQuery(event.currentTarget.value);
            setAt(0);
          }}
          onKeyDown={onKeyDown}
        />
      </div>
      <ul class="picks" id={LIST} role="listbox" aria-label={strings.conversations}>
        {found.map(({ item, title }, index) => (
          <li
            key={item.conversationId}
            id={`${LIST}-${index}`}
            role="option"
            class="pick"
            aria-selected={index === chosen}
            onClick={() => go(index)}
          >
            <Avatar
              id={item.peerId ?? item.conversationId}
              name={title}
              icon={item.type === "direct" ? undefined : item.type === "channel" ? "hash" : "people"}
              size="small"
            />
            <span class="pick-name line grow">{title}</span>
            {item.unread > 0 && <span class="badge">{item.unread > 99 ? "99+" : item.unread}</span>}
          </li>
        ))}
      </ul>
      {found.length === 0 && <p class="dialog-note picks-note">{strings.noMatch}</p>}
    </Dialog>
  );
}
