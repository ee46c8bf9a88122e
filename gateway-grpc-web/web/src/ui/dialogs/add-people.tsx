/**
 * The dialog that adds people to a group or a channel.
 */
import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import type { ConversationHandle } from "../../session/index";
import { attempt } from "../chat/actions";
import { Dialog } from "../kit/dialog";
import { Button } from "../kit/parts";
import { useApp } from "../state/app";
import { useHandle } from "../state/handle";
import { strings } from "../strings";
import { PeoplePicker } from "./people-picker";

/** The dialog. */
export function AddPeopleDialog(props: { readonly conversationId: string; readonly onClose: () => void }): JSX.Element {
  const handle = useHandle(props.conversationId);
  return <Picker handle={handle} onClose={props.onClose} />;
}

function Picker(props: { readonly handle: ConversationHandle; readonly onClose: () => void }): JSX.Element {
  const app = useApp();
  const [chosen, setChosen] = useState<readonly string[]>([]);
  const [busy, setBusy] = useState(false);
  const there = useMemo(
    () => new Set(props.handle.getSnapshot().participants.map((participant) => participant.userId)),
    [],
  );
  const add = async (): Promise<void> => {
    setBusy(true);
    if (await attempt(app, props.handle.addPeople(chosen))) props.onClose();
    else setBusy(false);
  };
  return (
    <Dialog
      title={strings.addPeople}
      onClose={props.onClose}
      footer={
        <>
          <Button onClick={props.onClose}>{strings.cancel}</Button>
          <Button kind="primary" disabled={busy || chosen.length === 0} onClick={() => void add()}>
            {strings.add}
          </Button>
        </>
      }
    >
      <PeoplePicker
        chosen={chosen}
        without={there}
        single={false}
        onPick={(userId) => setChosen([...chosen.filter((one) => one !== userId), userId])}
        onDrop={(userId) => setChosen(chosen.filter((one) => one !== userId))}
      />
    </Dialog>
  );
}
