/**
 * The dialog with the public channels of the tenant.
 */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { type Channel, SessionError } from "../../session/index";
import { attempt } from "../chat/actions";
import { Icon } from "../icons";
import { Dialog } from "../kit/dialog";
import { Avatar, Button, Empty } from "../kit/parts";
import { useApp } from "../state/app";
import { strings } from "../strings";

const WAIT_MS = 150;

/** The dialog. */
export function ChannelsDialog(props: { readonly onClose: () => void }): JSX.Element {
  const app = useApp();
  const [query, setQuery] = useState("");
  const [channels, setChannels] = useState<readonly Channel[] | null>(null);
  const [error, setError] = useState("");
  useEffect(() => {
    let current = true;
    const timer = window.setTimeout(() => {
      app.session.listChannels(query.trim()).then(
        (found) => current && setChannels(found),
        (thrown: unknown) => current && setError(strings.failure(SessionError.from(thrown))),
      );
    }, WAIT_MS);
    return () => {
      current = false;
      window.clearTimeout(timer);
    };
  }, [query]);
  const open = async (channel: Channel): Promise<void> => {
    const { conversationId } = channel.conversation;
    if (!channel.joined && !(await attempt(app, app.session.joinChannel(conversationId)))) return;
    props.onClose();
    app.select(conversationId);
  };
  return (
    <Dialog title={strings.browseChannels} onClose={props.onClose}>
      <label class="search-field">
        <span class="visually-hidden">{strings.searchChannels}</span>
        <Icon name="search" />
        <input
          class="input"
          type="text"
          data-autofocus
          placeholder={strings.searchChannels}
          value={query}
          onInput={(event) => setQuery(event.currentTarget.value)}
        />
      </label>
      {error !== "" && (
        <p class="field-error" role="alert">
          {error}
        </p>
      )}
      {channels !== null && channels.length === 0 && (
        <Empty icon="hash" title={query.trim() === "" ? strings.noChannels : strings.noMatch}>
          {query.trim() === "" && <p>{strings.noChannelsHint}</p>}
        </Empty>
      )}
      <ul class="picks">
        {(channels ?? []).map((channel) => (
          <li key={channel.conversation.conversationId} class="person">
            <Avatar id={channel.conversation.conversationId} name={channel.conversation.title} icon="hash" />
            <span class="grow">
              <span class="pick-name line">{channel.conversation.title}</span>
              <span class="pick-note line">{strings.peopleCount(channel.conversation.participantCount)}</span>
            </span>
            <Button small onClick={() => void open(channel)}>
              {channel.joined ? strings.open : strings.join}
            </Button>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
