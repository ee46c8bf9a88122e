/**
 * Says when the connection is away, when it is tried again, and lets one try now. Silent while all
 * is well, and for the first moments of a start.
 */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Icon } from "../icons";
import { useApp } from "../state/app";
import { useStore } from "../state/stores";
import { strings } from "../strings";

const PATIENCE_MS = 1_500;

/** The bar. */
export function ConnectionBar(): JSX.Element | null {
  const { session } = useApp();
  const connection = useStore(session.connection);
  const [now, setNow] = useState(Date.now());
  const [patient, setPatient] = useState(true);
  const { status } = connection;
  useEffect(() => {
    if (status !== "offline") return undefined;
    setNow(Date.now());
    const timer = window.setInterval(() => setNow(Date.now()), 250);
    return () => window.clearInterval(timer);
  }, [status]);
  useEffect(() => {
    setPatient(true);
    const timer = window.setTimeout(() => setPatient(false), PATIENCE_MS);
    return () => window.clearTimeout(timer);
  }, [status === "online"]);

  if (status === "online" || status === "ended") return null;
  if (status === "connecting" && patient) return null;
  const seconds = status === "offline" ? Math.max(0, Math.ceil((connection.retryAt - now) / 1000)) : 0;
  return (
    <div class="connection-bar">
      <Icon name="warning" class="icon-small" />
      <span class="grow">
        <span class="visually-hidden" role="status">
          {strings.connectionLost}
        </span>
        <span aria-hidden="true">{seconds > 0 ? strings.reconnectingIn(seconds) : strings.reconnecting}</span>
      </span>
      <button type="button" onClick={() => session.retryNow()}>
        {strings.tryNow}
      </button>
    </div>
  );
}
