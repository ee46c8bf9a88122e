/**
 * The pinned messages of a conversation.
 */
import type { JSX } from "preact";
import type { ConversationHandle } from "../../session/index";
import { attempt } from "../chat/actions";
import { Avatar, Empty, IconButton } from "../kit/parts";
import { useApp } from "../state/app";
import { useNames } from "../state/people";
import { useStore } from "../state/stores";
import { strings } from "../strings";
import { excerpt } from "../text/body";
import { exactTime, listTime } from "../text/time";
import { PanelFrame } from "./panel";

/** The panel: the newest pin first. */
export function PinsPanel(props: {
  readonly handle: ConversationHandle;
  readonly onJump: (seq: number) => void;
}): JSX.Element {
  const { handle } = props;
  const app = useApp();
  const view = useStore(handle);
  const nameOf = useNames();
  return (
    <PanelFrame title={strings.pinnedMessages}>
      <div class="panel-body scroll">
        {view.pins.length === 0 && (
          <Empty icon="pin" title={strings.nothingPinned}>
            <p>{strings.nothingPinnedHint}</p>
          </Empty>
        )}
        <ul>
          {[...view.pins].reverse().map((message) => {
            const name = nameOf(message.senderId);
            const time = new Date(message.createTime ?? 0);
            return (
              <li key={message.seq} class="pinned">
                <button type="button" class="pinned-text" onClick={() => props.onJump(message.seq)}>
                  <span class="pinned-top">
                    <Avatar id={message.senderId} name={name} size="tiny" />
                    <span class="pick-name line">{name}</span>
                    <time title={exactTime(time)}>{listTime(time, new Date())}</time>
                  </span>
                  <span class="pinned-body" dir="auto">
                    {excerpt(message.content?.text ?? strings.deletedMessage, 280)}
                  </span>
                </button>
                {view.rights.pin && (
                  <IconButton
                    small
                    icon="close"
                    label={strings.unpin}
                    onClick={() => void attempt(app, handle.pin(message.seq, false))}
                  />
                )}
              </li>
            );
          })}
        </ul>
      </div>
    </PanelFrame>
  );
}
