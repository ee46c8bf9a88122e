/**
 * The dialog with all emoji: by group, or by a word of their name.
 */
import type { JSX } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";
import { Icon } from "../icons";
import { Dialog } from "../kit/dialog";
import { roveInGrid } from "../kit/focus";
import { strings } from "../strings";
import { type Emoji, emojiGroups, findEmoji, QUICK_REACTIONS } from "../text/emoji";

const FOUND = 160;

/** The dialog. It closes with the choice. */
export function EmojiDialog(props: {
  readonly onPick: (emoji: string) => void;
  readonly onClose: () => void;
}): JSX.Element {
  const groups = emojiGroups();
  const [group, setGroup] = useState(groups[0]?.id ?? "");
  const [query, setQuery] = useState("");
  const grid = useRef<HTMLDivElement>(null);
  const shown = useMemo<readonly Emoji[]>(
    () => (query.trim() === "" ? (groups.find(({ id }) => id === group)?.emoji ?? []) : findEmoji(query, FOUND)),
    [group, query],
  );
  const pick = (emoji: string): void => {
    props.onClose();
    props.onPick(emoji);
  };
  return (
    <Dialog title={strings.emoji} onClose={props.onClose}>
      <label class="search-field">
        <span class="visually-hidden">{strings.searchEmoji}</span>
        <Icon name="search" />
        <input
          class="input"
          type="text"
          autocomplete="off"
          placeholder={strings.searchEmoji}
          value={query}
          onInput={(event) => setQuery(event.currentTarget.value)}
          onKeyDown={(event) => {
            const first = shown[0];
            if (event.key === "Enter" && query.trim() !== "" && first !== undefined) pick(first.emoji);
            if (event.key === "ArrowDown") grid.current?.querySelector<HTMLElement>(".emoji-cell")?.focus();
          }}
        />
      </label>
      <div class="emoji-quick" role="group" aria-label={strings.often}>
        {QUICK_REACTIONS.map((emoji, index) => (
          <button
            key={emoji}
            type="button"
            class="emoji-cell"
            {...(index === 0 ? { "data-autofocus": true } : {})}
            onClick={() => pick(emoji)}
          >
            {emoji}
          </button>
        ))}
      </div>
      {query.trim() === "" && (
        <div class="emoji-tabs" role="group" aria-label={strings.emojiGroups}>
          {groups.map(({ id, emoji }) => (
            <button
              key={id}
              type="button"
              class="emoji-tab"
              aria-pressed={id === group}
              aria-label={strings.emojiGroupNames[id] ?? id}
              title={strings.emojiGroupNames[id] ?? id}
              onClick={() => setGroup(id)}
            >
              <span aria-hidden="true">{emoji[0]?.emoji}</span>
            </button>
          ))}
        </div>
      )}
      <div
        ref={grid}
        class="emoji-grid scroll"
        role="group"
        aria-label={strings.emoji}
        onKeyDown={(event) => roveInGrid(event, grid, ".emoji-cell")}
      >
        {shown.map(({ emoji, name }, index) => (
          <button
            key={emoji}
            type="button"
            class="emoji-cell"
            tabIndex={index === 0 ? 0 : -1}
            aria-label={name}
            title={name}
            onClick={() => pick(emoji)}
          >
            {emoji}
          </button>
        ))}
        {shown.length === 0 && <p class="dialog-note">{strings.noMatch}</p>}
      </div>
    </Dialog>
  );
}
