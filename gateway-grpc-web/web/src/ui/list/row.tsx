/**
 * One conversation in the list: who it is with, what was said last and when, what is unread.
 */
import type { JSX } from "preact";
import { Dots } from "../chat/typing-line";
import type { ConversationListItem, Message } from "../../session/index";
import { Icon } from "../icons";
import { memo } from "../kit/memo";
import { Avatar, Badge, type Presence } from "../kit/parts";
import { joinNames } from "../state/people";
import { strings } from "../strings";
import { excerpt } from "../text/body";
import { exactTime, listTime } from "../text/time";

/** What a row shows. */
export interface ConversationRowProps {
  readonly item: ConversationListItem;
  readonly title: string;
  readonly presence: Presence | undefined;
  readonly selected: boolean;
  readonly focusable: boolean;
  readonly me: string;
  readonly nameOf: (userId: string) => string;
  readonly onSelect: (conversationId: string) => void;
}

/** The row. */
export const ConversationRow = memo((props: ConversationRowProps): JSX.Element => {
  const { item, title } = props;
  const { settings, unread, mentions } = item;
  const quiet = settings.muted;
  const time = new Date(item.activityTime);
  return (
    <li>
      <button
        type="button"
        class={`conversation-row ${props.selected ? "conversation-row-selected" : ""}`}
        aria-current={props.selected ? "page" : undefined}
        tabIndex={props.focusable ? 0 : -1}
        onClick={() => props.onSelect(item.conversationId)}
      >
        <Avatar
          id={item.peerId ?? item.conversationId}
          name={title}
          icon={item.type === "direct" ? undefined : item.type === "channel" ? "hash" : "people"}
          presence={props.presence}
        />
        <span class="grow">
          <span class="conversation-row-top">
            <span class="conversation-row-title line" dir="auto">
              {title}
            </span>
            {props.presence === "online" && <span class="visually-hidden">{strings.online}</span>}
            {settings.favourite && <Icon name="star" class="icon-mark" />}
            {quiet && <Icon name="bellOff" class="icon-mark" />}
            {quiet && <span class="visually-hidden">{strings.muted}</span>}
            <time class="conversation-row-time" dateTime={time.toISOString()} title={exactTime(time)}>
              {listTime(time, new Date())}
            </time>
          </span>
          <span class="conversation-row-bottom">
            <Preview {...props} />
            {mentions > 0 && (
              <span class="badge badge-mention">
                <Icon name="at" />
                <span class="visually-hidden">{strings.mentionsYou(mentions)}</span>
              </span>
            )}
            {unread > 0 && <Badge count={unread} quiet={quiet} label={strings.unreadCount(unread)} />}
          </span>
        </span>
      </button>
    </li>
  );
});

function Preview(props: ConversationRowProps): JSX.Element {
  const { item, nameOf } = props;
  if (item.typing.length > 0) {
    return (
      <span class="preview preview-typing line">
        <Dots /> {strings.typing(item.type === "direct" ? "" : joinNames(item.typing.map(nameOf)), item.typing.length)}
      </span>
    );
  }
  const message = item.lastMessage;
  if (message === null) return <span class="preview line">{strings.noMessages}</span>;
  const sender = senderOf(message, props);
  return (
    <span class={`preview line ${item.unread > 0 ? "preview-unread" : ""}`}>
      {sender !== "" && <span>{sender}: </span>}
      <bdi>{textOf(message)}</bdi>
    </span>
  );
}

function senderOf(message: Message, props: ConversationRowProps): string {
  if (message.senderId === props.me) return strings.you;
  return props.item.type === "direct" ? "" : props.nameOf(message.senderId);
}

function textOf(message: Message): string {
  if (message.deleteTime !== null) return strings.deletedMessage;
  return message.content === null ? strings.hiddenMessage : excerpt(message.content.text, 90);
}
