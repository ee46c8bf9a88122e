/**
 * Where a message is written, answered or edited. Enter sends, Shift+Enter begins a line, the arrow
 * up in an empty field edits one's last message, Escape gives up what was begun.
 */
import type { JSX } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Message } from "../../session/index";
import { Icon } from "../icons";
import { useLayer } from "../kit/layers";
import { IconButton } from "../kit/parts";
import { useApp } from "../state/app";
import { strings } from "../strings";
import { excerpt } from "../text/body";
import { MentionList, mentionAt, useMentions } from "./mentions";

/** What the composer is about besides a new message. */
export type ComposerMode =
  | { readonly kind: "reply"; readonly message: Message }
  /** `text`: of an edit that did not succeed. */
  | { readonly kind: "edit"; readonly message: Message; readonly text?: string };

/** What a composer needs. */
export interface ComposerProps {
  /** Names the draft: it is still there after a look at another conversation. */
  readonly draftKey: string;
  readonly label: string;
  readonly mode: ComposerMode | null;
  /** Whom an @ can name. */
  readonly userIds: readonly string[];
  readonly nameOf: (userId: string) => string;
  readonly onCancel: () => void;
  readonly onSend: (text: string) => void;
  readonly onEditLast: () => void;
  readonly onTyping: () => void;
  readonly onStopTyping: () => void;
}

/** What is written and not sent, by the session that it was written in: it ends with that. */
const drafted = new WeakMap<object, Map<string, string>>();

function draftsOf(session: object): Map<string, string> {
  const drafts = drafted.get(session) ?? new Map<string, string>();
  drafted.set(session, drafts);
  return drafts;
}

const MAX_HEIGHT = 200;

/** Fits the field to its text. */
function fit(field: HTMLTextAreaElement): void {
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight, MAX_HEIGHT)}px`;
}

/** The composer. */
export function Composer(props: ComposerProps): JSX.Element {
  const app = useApp();
  const drafts = draftsOf(app);
  const field = useRef<HTMLTextAreaElement>(null);
  const [text, setText] = useState(drafts.get(props.draftKey) ?? "");
  const [caret, setCaret] = useState(text.length);
  const editing = props.mode?.kind === "edit" ? props.mode.message : null;
  const mentions = useMentions(mentionAt(text, caret), props.userIds, props.nameOf);
  useLayer(props.onCancel, props.mode !== null);
  useLayer(mentions.dismiss, mentions.found.length > 0);

  const change = (next: string): void => {
    setText(next);
    if (editing === null) drafts.set(props.draftKey, next);
  };
  useLayoutEffect(() => {
    if (field.current !== null) fit(field.current);
  }, [text]);
  // Before anybody sees the mode: what is typed then is not written over.
  useLayoutEffect(() => {
    if (props.mode === null) {
      setText(drafts.get(props.draftKey) ?? "");
    } else {
      if (props.mode.kind === "edit") setText(props.mode.text ?? props.mode.message.content?.text ?? "");
      field.current?.focus();
    }
  }, [props.mode, props.draftKey]);

  const send = (): void => {
    const trimmed = text.trim();
    if (trimmed === "") return;
    if (editing === null) drafts.delete(props.draftKey);
    setText("");
    props.onStopTyping();
    props.onSend(trimmed);
    field.current?.focus();
  };
  const insert = (start: number, end: number, piece: string): void => {
    change(text.slice(0, start) + piece + text.slice(end));
    setCaret(start + piece.length);
    window.requestAnimationFrame(() => {
      field.current?.focus();
      field.current?.setSelectionRange(start + piece.length, start + piece.length);
    });
  };
  const takeMention = (userId: string): void => {
    const at = mentionAt(text, caret);
    if (at !== null) insert(at.start, caret, `@${userId} `);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.isComposing) return;
    if (mentions.onKeyDown(event, takeMention)) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      send();
    } else if (event.key === "ArrowUp" && text === "" && props.mode === null) {
      event.preventDefault();
      props.onEditLast();
    }
  };

  return (
    <form
      class="composer"
      aria-label={props.label}
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      {props.mode !== null && <ModeLine mode={props.mode} nameOf={props.nameOf} onCancel={props.onCancel} />}
      <MentionList mentions={mentions} onPick={takeMention} />
      <div class="composer-box">
        <IconButton
          icon="smile"
          label={strings.insertEmoji}
          onClick={() => {
            const at = field.current?.selectionStart ?? text.length;
            app.dialog.value = { kind: "emoji", onPick: (emoji) => insert(at, at, emoji) };
          }}
        />
        <textarea
          ref={field}
          class="composer-field scroll"
          rows={1}
          dir="auto"
          data-focus-home
          aria-label={props.label}
          aria-autocomplete="list"
          aria-controls={mentions.found.length > 0 ? mentions.id : undefined}
          aria-activedescendant={mentions.activeId}
          placeholder={strings.writeAMessage}
          value={text}
          onInput={(event) => {
            change(event.currentTarget.value);
            setCaret(event.currentTarget.selectionStart);
            mentions.reopen();
            if (editing === null && event.currentTarget.value.trim() !== "") props.onTyping();
          }}
          onSelect={(event) => setCaret(event.currentTarget.selectionStart)}
          onKeyDown={onKeyDown}
          onBlur={props.onStopTyping}
        />
        <button
          type="submit"
          class="send"
          aria-label={editing === null ? strings.send : strings.save}
          title={editing === null ? strings.send : strings.save}
          disabled={text.trim() === ""}
        >
          <Icon name={editing === null ? "send" : "check"} />
        </button>
      </div>
    </form>
  );
}

function ModeLine(props: {
  readonly mode: ComposerMode;
  readonly nameOf: (userId: string) => string;
  readonly onCancel: () => void;
}): JSX.Element {
  const { mode } = props;
  const title = mode.kind === "edit" ? strings.editingMessage : strings.replyingTo(props.nameOf(mode.message.senderId));
  return (
    <div class="composer-mode">
      <Icon name={mode.kind} class="icon-small" />
      <div class="grow">
        <p class="composer-mode-title line">{title}</p>
        <p class="composer-mode-text line" dir="auto">
          {excerpt(mode.message.content?.text ?? "")}
        </p>
      </div>
      <IconButton small icon="close" label={strings.cancel} onClick={props.onCancel} />
    </div>
  );
}
