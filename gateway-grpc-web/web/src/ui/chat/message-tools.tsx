/**
 * The few actions beside a message that is pointed at or focused. All of them are in its menu, too.
 */
import type { JSX } from "preact";
import type { Message } from "../../session/index";
import { IconButton } from "../kit/parts";
import { strings } from "../strings";
import type { MessageHandlers } from "./handlers";

/** React, reply, and the menu. */
export function MessageTools(props: {
  readonly message: Message;
  readonly handlers: MessageHandlers;
}): JSX.Element | null {
  const { message, handlers } = props;
  if (message.content === null) return null;
  return (
    <div class="tools">
      <IconButton
        small
        icon="smile"
        label={strings.react}
        tabIndex={-1}
        onClick={() => handlers.onPickReaction(message)}
      />
      <IconButton small icon="reply" label={strings.reply} tabIndex={-1} onClick={() => handlers.onReply(message)} />
      <IconButton
        small
        icon="more"
        label={strings.moreActions}
        tabIndex={-1}
        onClick={(event) => {
          if (event.currentTarget instanceof HTMLElement) {
            handlers.onMenu(message, event.currentTarget.getBoundingClientRect());
          }
        }}
      />
    </div>
  );
}
