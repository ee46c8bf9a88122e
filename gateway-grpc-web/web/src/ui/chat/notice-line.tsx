/**
 * A line between messages that says what happened: somebody joined, the title changed.
 */
import type { JSX } from "preact";
import { useApp } from "../state/app";
import { joinNames } from "../state/people";
import { strings } from "../strings";
import type { NoticeRow } from "./rows";

/** The line. */
export function NoticeLine(props: {
  readonly row: NoticeRow;
  readonly nameOf: (userId: string) => string;
}): JSX.Element {
  const { me } = useApp();
  const { notice, key } = props.row;
  const name = (userId: string): string => (userId === me ? strings.you : props.nameOf(userId));
  const text = strings.notices[notice.kind](
    name(notice.actorId),
    joinNames(notice.userIds.map(name), 3),
    notice.title,
    notice.userIds.length === 1 && notice.userIds[0] === notice.actorId,
  );
  return (
    <article class="notice-line" data-key={key} tabIndex={-1} aria-label={text}>
      <span>{text}</span>
    </article>
  );
}
