/**
 * Who types. The line keeps its height, so that nothing moves when somebody begins.
 */
import type { JSX } from "preact";
import { joinNames } from "../state/people";
import { strings } from "../strings";

/** The line between the messages and the composer. */
export function TypingLine(props: {
  readonly userIds: readonly string[];
  readonly nameOf: (userId: string) => string;
}): JSX.Element {
  const names = props.userIds.map(props.nameOf);
  return (
    <div class="typing-line" role="status">
      {names.length > 0 && (
        <>
          <Dots />
          <span class="line">{strings.typing(joinNames(names), names.length)}</span>
        </>
      )}
    </div>
  );
}

/** Three dots that move. */
export function Dots(): JSX.Element {
  return (
    <span class="dots" aria-hidden="true">
      <span />
      <span />
      <span />
    </span>
  );
}
