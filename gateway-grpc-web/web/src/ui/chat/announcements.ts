/**
 * Tells screen readers of new messages in the open conversation: those of others, each once, and
 * only the latest few at a time.
 */
import { useEffect, useRef } from "preact/hooks";
import type { ConversationView } from "../../session/index";
import { useApp } from "../state/app";
import { strings } from "../strings";
import { excerpt } from "../text/body";

const AT_ONCE = 3;

/** Announces what comes after the view was opened. */
export function useAnnouncements(view: ConversationView, nameOf: (userId: string) => string): void {
  const app = useApp();
  const announced = useRef(view.appliedSeq);
  useEffect(() => {
    const fresh = view.messages.filter(
      (message) => message.seq > announced.current && message.senderId !== app.me && message.content !== null,
    );
    announced.current = Math.max(announced.current, view.appliedSeq);
    for (const message of fresh.slice(-AT_ONCE)) {
      app.announce(strings.announcement(nameOf(message.senderId), excerpt(message.content?.text ?? "")));
    }
  }, [view]);
}
