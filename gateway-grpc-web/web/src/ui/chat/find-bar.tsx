/**
 * Finds a text in the conversation, from the newest message backwards, page by page: there is no
 * search index behind it, so it says how far it has looked.
 */
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { ConversationHandle, Message } from "../../session/index";
import { Icon } from "../icons";
import { useFocusReturn, useLayer } from "../kit/layers";
import { IconButton } from "../kit/parts";
import { useApp } from "../state/app";
import { strings } from "../strings";
import { dayName } from "../text/time";
import { markFound } from "./highlight";

type Direction = "older" | "newer";

/** What was found last, and what the bar says. */
interface Finding {
  readonly seq: number | null;
  readonly note: string;
}

const NOTHING: Finding = { seq: null, note: "" };

function matches(message: Message, wanted: string): boolean {
  return message.content?.text.toLowerCase().includes(wanted) ?? false;
}

/** The next match in what is loaded, seen from a message; from the end when there is none yet. */
function matchBeside(
  messages: readonly Message[],
  wanted: string,
  from: number | null,
  direction: Direction,
): Message | undefined {
  if (direction === "newer") return messages.find((one) => one.seq > (from ?? 0) && matches(one, wanted));
  return messages.findLast((one) => one.seq < (from ?? Number.MAX_SAFE_INTEGER) && matches(one, wanted));
}

/** The bar below the header. Escape closes it. */
export function FindBar(props: {
  readonly handle: ConversationHandle;
  readonly onJump: (seq: number) => Promise<boolean>;
}): JSX.Element {
  const { handle } = props;
  const app = useApp();
  const [query, setQuery] = useState("");
  const [finding, setFinding] = useState<Finding>(NOTHING);
  const run = useRef(0);
  const field = useRef<HTMLInputElement>(null);
  const close = (): void => {
    app.finding.value = false;
  };
  useLayer(close);
  useFocusReturn();
  useLayoutEffect(() => field.current?.focus(), []);
  useEffect(
    () => () => {
      run.current += 1;
      markFound(null, "");
    },
    [],
  );

  const find = async (direction: Direction): Promise<void> => {
    const wanted = query.trim().toLowerCase();
    if (wanted === "") return;
    run.current += 1;
    const mine = run.current;
    for (;;) {
      const view = handle.getSnapshot();
      const found = matchBeside(view.messages, wanted, finding.seq, direction);
      if (found !== undefined) {
        setFinding({ seq: found.seq, note: dayName(new Date(found.createTime ?? 0), new Date()) });
        await props.onJump(found.seq);
        markFound(found.seq, wanted);
        return;
      }
      if (!(direction === "older" ? view.hasOlder : view.hasNewer)) break;
      setFinding({ seq: finding.seq, note: strings.searchingAt(oldestDay(view.messages)) });
      try {
        await (direction === "older" ? handle.loadOlder() : handle.loadNewer());
      } catch {
        setFinding({ seq: finding.seq, note: strings.searchFailed });
        return;
      }
      if (run.current !== mine) return;
    }
    setFinding({ seq: finding.seq, note: finding.seq === null ? strings.nothingFound : strings.noMoreFound });
  };

  return (
    <form
      class="find-bar"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        void find("older");
      }}
    >
      <label class="search-field grow">
        <span class="visually-hidden">{strings.findInConversation}</span>
        <Icon name="search" />
        <input
          ref={field}
          class="input"
          type="text"
          placeholder={strings.findInConversation}
          value={query}
          onInput={(event) => {
            run.current += 1;
            setQuery(event.currentTarget.value);
            setFinding(NOTHING);
          }}
          onKeyDown={(event) => {
            if (event.key === "Enter" && event.shiftKey) {
              event.preventDefault();
              void find("newer");
            }
          }}
        />
      </label>
      <span class="find-note line" role="status">
        {finding.note}
      </span>
      <IconButton small icon="chevronDown" class="turned" label={strings.findOlder} onClick={() => void find("older")} />
      <IconButton small icon="chevronDown" label={strings.findNewer} onClick={() => void find("newer")} />
      <IconButton small icon="close" label={strings.close} onClick={close} />
    </form>
  );
}

function oldestDay(messages: readonly Message[]): string {
  const time = messages[0]?.createTime ?? null;
  return time === null ? "" : dayName(new Date(time), new Date());
}
