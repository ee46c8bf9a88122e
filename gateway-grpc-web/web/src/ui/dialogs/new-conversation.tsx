/**
 * The dialog that begins a conversation: direct, a group, or a channel.
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { SessionError } from "../../session/index";
import { Dialog } from "../kit/dialog";
import { Button } from "../kit/parts";
import { useApp } from "../state/app";
import { strings } from "../strings";
import { PeoplePicker } from "./people-picker";

type Kind = "direct" | "group" | "channel";
const KINDS: readonly Kind[] = ["direct", "group", "channel"];
const NOBODY: ReadonlySet<string> = new Set();

/** The dialog. */
export function NewConversationDialog(props: { readonly onClose: () => void }): JSX.Element {
  const app = useApp();
  const [kind, setKind] = useState<Kind>("direct");
  const [title, setTitle] = useState("");
  const [open, setOpen] = useState(true);
  const [chosen, setChosen] = useState<readonly string[]>([]);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");

  const begin = async (made: Promise<string>): Promise<void> => {
    setBusy(true);
    setError("");
    try {
      const conversationId = await made;
      props.onClose();
      app.select(conversationId);
    } catch (thrown) {
      setError(strings.failure(SessionError.from(thrown)));
      setBusy(false);
    }
  };
  const create = (): void => {
    const name = title.trim();
    if (kind === "group") void begin(app.session.createGroup({ title: name, userIds: chosen }));
    else void begin(app.session.createChannel({ title: name, public: open, userIds: chosen }));
  };

  return (
    <Dialog
      title={strings.newConversation}
      onClose={props.onClose}
      footer={
        kind === "direct" ? undefined : (
          <>
            <Button onClick={props.onClose}>{strings.cancel}</Button>
            <Button kind="primary" disabled={busy || title.trim() === ""} onClick={create}>
              {strings.create}
            </Button>
          </>
        )
      }
    >
      <div class="switch" role="radiogroup" aria-label={strings.kindOfConversation}>
        {KINDS.map((one) => (
          <button key={one} type="button" role="radio" aria-checked={kind === one} onClick={() => setKind(one)}>
            {strings.kinds[one]}
          </button>
        ))}
      </div>
      <p class="dialog-note kind-note">{strings.kindNotes[kind]}</p>
      <div class="stack">
        {kind !== "direct" && (
          <label class="field">
            <span class="field-label">{strings.title}</span>
            <input
              class="input"
              type="text"
              maxLength={200}
              placeholder={strings.titleExamples[kind]}
              value={title}
              onInput={(event) => setTitle(event.currentTarget.value)}
            />
          </label>
        )}
        {kind === "channel" && (
          <label class="check">
            <input type="checkbox" checked={open} onChange={(event) => setOpen(event.currentTarget.checked)} />
            {strings.anyoneMayJoin}
          </label>
        )}
        <PeoplePicker
          chosen={chosen}
          without={NOBODY}
          single={kind === "direct"}
          onPick={(userId) => {
            if (kind === "direct") void begin(app.session.openDirect(userId));
            else setChosen([...chosen.filter((one) => one !== userId), userId]);
          }}
          onDrop={(userId) => setChosen(chosen.filter((one) => one !== userId))}
        />
      </div>
      {error !== "" && (
        <p class="field-error" role="alert">
          {error}
        </p>
      )}
    </Dialog>
  );
}
