/**
 * What a message says, as elements. Text becomes text nodes: nothing that somebody wrote is ever
 * read as markup.
 */
import type { ComponentChildren, JSX } from "preact";
import type { Content } from "../../session/index";
import { isEmojiOnly } from "./emoji";
import { cutText, type Piece, safeHref } from "./pieces";

/** The text of a message with its mentions, links and hashtags, and what is searched for. */
export function MessageBody(props: {
  readonly content: Content;
  readonly me: string;
  readonly nameOf: (userId: string) => string;
  /** What stands at the end of the last line. */
  readonly after?: ComponentChildren;
}): JSX.Element {
  const { text, entities } = props.content;
  if (entities.length === 0 && isEmojiOnly(text)) {
    return <p class="body body-emoji">{text.trim()}</p>;
  }
  return (
    <p class="body" dir="auto">
      {cutText(text, entities).map((piece, index) => (
        <PieceView key={index} piece={piece} me={props.me} nameOf={props.nameOf} />
      ))}
      {props.after}
    </p>
  );
}

function PieceView(props: {
  readonly piece: Piece;
  readonly me: string;
  readonly nameOf: (userId: string) => string;
}): JSX.Element {
  const { piece } = props;
  if (piece.kind === "link") {
    const href = safeHref(piece.value);
    if (href !== undefined) {
      return (
        <a href={href} target="_blank" rel="noopener noreferrer nofollow">
          {piece.text}
        </a>
      );
    }
  }
  if (piece.kind === "mention") {
    const own = piece.value === props.me ? "mention-me" : "";
    return (
      <span class={`mention ${own}`} title={props.nameOf(piece.value)}>
        {piece.text}
      </span>
    );
  }
  if (piece.kind === "hashtag") return <span class="hashtag">{piece.text}</span>;
  return <>{piece.text}</>;
}

/** The first words of a text, for a quote, a row of the list or a notice. */
export function excerpt(text: string, length = 140): string {
  const line = text.replace(/\s+/g, " ").trim();
  if (line.length <= length) return line;
  // Never half of a surrogate pair.
  return `${line.slice(0, length).replace(/[\uD800-\uDBFF]$/, "")}…`;
}
