/**
 * The list of people that opens after an @ in the composer. The server finds the mention by the
 * user's id, so that is what is put into the text.
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Avatar } from "../kit/parts";
import { strings } from "../strings";

/** The word after an @ that ends at the caret. */
interface MentionWord {
  readonly start: number;
  readonly word: string;
}

/** The @word before the caret, if there is one. */
export function mentionAt(text: string, caret: number): MentionWord | null {
  const match = /(?:^|[\s(])@([\p{L}\p{N}._-]{0,32})$/u.exec(text.slice(0, caret));
  if (match === null) return null;
  const word = match[1] ?? "";
  return { start: caret - word.length - 1, word };
}

/** Whom the word may mean, and which of them the keyboard is at. */
export interface Mentions {
  readonly id: string;
  readonly found: readonly { readonly userId: string; readonly name: string }[];
  readonly active: number;
  readonly activeId: string | undefined;
  dismiss(): void;
  reopen(): void;
  /** Says whether the key was for the list. */
  onKeyDown(event: KeyboardEvent, take: (userId: string) => void): boolean;
}

const SHOWN = 6;
const ID = "mention-list";

/** The state of the list for the word before the caret. */
export function useMentions(
  at: MentionWord | null,
  userIds: readonly string[],
  nameOf: (userId: string) => string,
): Mentions {
  const [closed, setClosed] = useState(false);
  const [moved, setMoved] = useState(0);
  const word = at?.word.toLowerCase() ?? "";
  const found =
    at === null || closed
      ? []
      : userIds
          .map((userId) => ({ userId, name: nameOf(userId) }))
          .filter(({ userId, name }) => userId.toLowerCase().startsWith(word) || name.toLowerCase().includes(word))
          .slice(0, SHOWN);
  const active = found.length === 0 ? 0 : ((moved % found.length) + found.length) % found.length;
  return {
    id: ID,
    found,
    active,
    activeId: found.length > 0 ? `${ID}-${active}` : undefined,
    dismiss: () => setClosed(true),
    reopen: () => {
      setClosed(false);
      setMoved(0);
    },
    onKeyDown: (event, take) => {
      const chosen = found[active];
      if (chosen === undefined) return false;
      if (event.key === "ArrowDown") setMoved(active + 1);
      else if (event.key === "ArrowUp") setMoved(active - 1);
      else if (event.key === "Enter" || event.key === "Tab") take(chosen.userId);
      else return false;
      event.preventDefault();
      return true;
    },
  };
}

/** The list itself; the focus stays in the composer. */
export function MentionList(props: {
  readonly mentions: Mentions;
  readonly onPick: (userId: string) => void;
}): JSX.Element | null {
  const { mentions } = props;
  if (mentions.found.length === 0) return null;
  return (
    <ul class="mention-list" id={mentions.id} role="listbox" aria-label={strings.mentionSomebody}>
      {mentions.found.map(({ userId, name }, index) => (
        <li
          key={userId}
          id={`${mentions.id}-${index}`}
          role="option"
          class="pick"
          aria-selected={index === mentions.active}
          onMouseDown={(event) => {
            event.preventDefault();
            props.onPick(userId);
          }}
        >
          <Avatar id={userId} name={name} size="small" />
          <span class="pick-name line">{name}</span>
          <span class="pick-note line">@{userId}</span>
        </li>
      ))}
    </ul>
  );
}
