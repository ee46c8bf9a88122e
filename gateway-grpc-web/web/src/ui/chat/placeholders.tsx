/**
 * What stands in the list where messages are not, or not yet.
 */
import type { JSX } from "preact";
import type { ConversationView } from "../../session/index";
import { Avatar } from "../kit/parts";
import { strings } from "../strings";
import { exactTime } from "../text/time";

/** Above the first message: the conversation began here. */
export function Beginning(props: {
  readonly rowKey: string;
  readonly title: string;
  readonly view: ConversationView;
}): JSX.Element {
  const { conversation } = props.view;
  const direct = conversation?.type === "direct";
  const peer = props.view.participants.find((participant) => participant.userId !== props.view.me?.userId);
  return (
    <article class="beginning" data-key={props.rowKey} tabIndex={-1} aria-label={strings.beginning(direct, props.title)}>
      <Avatar
        id={direct ? (peer?.userId ?? "") : props.view.conversationId}
        name={props.title}
        icon={direct ? undefined : "people"}
        size="large"
      />
      <h2 class="beginning-title">{props.title}</h2>
      {conversation !== null && conversation.description !== "" && <p dir="auto">{conversation.description}</p>}
      <p>{strings.beginning(direct, props.title)}</p>
      {conversation !== null && conversation.createTime !== null && (
        <p class="beginning-time">{strings.createdAt(exactTime(new Date(conversation.createTime)))}</p>
      )}
    </article>
  );
}

const WIDTHS = ["w-60", "w-40", "w-75", "w-30", "w-50", "w-65"] as const;

function Bubbles(): JSX.Element {
  return (
    <>
      {WIDTHS.map((width, index) => (
        <div key={width} class={`skeleton skeleton-bubble ${width} ${index % 3 === 2 ? "skeleton-own" : ""}`} />
      ))}
    </>
  );
}

/** Above the oldest message of the window: older ones are on their way. */
export function OlderSkeleton(props: { readonly rowKey: string }): JSX.Element {
  return (
    <div class="older" data-key={props.rowKey} aria-hidden="true">
      <Bubbles />
    </div>
  );
}

/** While a conversation is opened. */
export function ConversationSkeleton(): JSX.Element {
  return (
    <div class="message-area">
      <div class="messages-skeleton" role="status">
        <span class="visually-hidden">{strings.loading}</span>
        <Bubbles />
        <Bubbles />
      </div>
    </div>
  );
}
