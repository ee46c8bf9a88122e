/**
 * The newest pinned message, below the header; it opens the list of them.
 */
import type { JSX } from "preact";
import type { ConversationView } from "../../session/index";
import { Icon } from "../icons";
import { useApp } from "../state/app";
import { strings } from "../strings";
import { excerpt } from "../text/body";

/** The bar; nothing while nothing is pinned. */
export function PinsBar(props: {
  readonly view: ConversationView;
  readonly onJump: (seq: number) => void;
}): JSX.Element | null {
  const app = useApp();
  const newest = props.view.pins.at(-1);
  const count = props.view.conversation?.pinnedSeqs.length ?? 0;
  if (newest === undefined || count === 0) return null;
  return (
    <div class="pins-bar">
      <Icon name="pin" class="icon-small" />
      <button type="button" class="pins-bar-text line" dir="auto" onClick={() => props.onJump(newest.seq)}>
        <span class="visually-hidden">{strings.pinnedMessage} </span>
        {excerpt(newest.content?.text ?? strings.deletedMessage)}
      </button>
      <button
        type="button"
        class="pins-bar-all"
        onClick={() => {
          app.panel.value = { kind: "pins" };
        }}
      >
        {strings.pinnedCount(count)}
      </button>
    </div>
  );
}
