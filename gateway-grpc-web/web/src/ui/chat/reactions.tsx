/**
 * What stands below a bubble: the reactions, and the thread that began with the message.
 */
import type { JSX } from "preact";
import type { Message } from "../../session/index";
import { Icon } from "../icons";
import { strings } from "../strings";
import type { MessageHandlers } from "./handlers";

/** The reactions; a press adds or takes back one's own, a long look says who. */
export function Reactions(props: { readonly message: Message; readonly handlers: MessageHandlers }): JSX.Element {
  const { message, handlers } = props;
  const may = handlers.rights().react;
  return (
    <div class="reactions" role="group" aria-label={strings.reactions}>
      {message.reactions.map((reaction) => (
        <button
          key={reaction.emoji}
          type="button"
          tabIndex={-1}
          class={`reaction ${reaction.reacted ? "reaction-own" : ""}`}
          aria-pressed={reaction.reacted}
          aria-label={strings.reactionLabel(reaction.emoji, reaction.count)}
          disabled={!may}
          onClick={() => handlers.onReact(message, reaction.emoji, !reaction.reacted)}
        >
          <span class="reaction-emoji">{reaction.emoji}</span>
          <span class="reaction-count">{reaction.count}</span>
        </button>
      ))}
      <button
        type="button"
        tabIndex={-1}
        class="reaction reaction-who"
        aria-label={strings.whoReacted}
        title={strings.whoReacted}
        onClick={() => handlers.onWhoReacted(message)}
      >
        <Icon name="people" class="icon-small" />
      </button>
    </div>
  );
}

/** How many answers the thread has; opens it. */
export function ThreadLink(props: { readonly message: Message; readonly handlers: MessageHandlers }): JSX.Element {
  const count = props.message.thread?.replyCount ?? 0;
  return (
    <button type="button" class="thread-link" tabIndex={-1} onClick={() => props.handlers.onThread(props.message.seq)}>
      <Icon name="thread" class="icon-small" />
      {strings.replies(count)}
    </button>
  );
}
