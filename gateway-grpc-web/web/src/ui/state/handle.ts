/**
 * Opens a conversation for as long as a component is shown.
 */
import { useEffect, useMemo } from "preact/hooks";
import type { ConversationHandle } from "../../session/index";
import { useApp } from "./app";

/** The handle of this conversation; closed when the component goes. */
export function useHandle(conversationId: string): ConversationHandle {
  const { session } = useApp();
  const handle = useMemo(() => session.open(conversationId), [conversationId]);
  useEffect(() => () => handle.close(), [handle]);
  return handle;
}
