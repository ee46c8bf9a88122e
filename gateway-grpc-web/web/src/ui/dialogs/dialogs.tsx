/**
 * Shows the dialog that is open.
 */
import type { JSX } from "preact";
import { useApp } from "../state/app";
import { AddPeopleDialog } from "./add-people";
import { ChannelsDialog } from "./channels";
import { EmojiDialog } from "./emoji-picker";
import { NewConversationDialog } from "./new-conversation";
import { ConfirmDialog, DescribeDialog, ProfileDialog, ReactionsDialog } from "./small-dialogs";
import { SwitcherDialog } from "./switcher";

/** The open dialog, if there is one. */
export function OpenDialog(): JSX.Element | null {
  const app = useApp();
  const dialog = app.dialog.value;
  if (dialog === null) return null;
  const close = (): void => {
    if (app.dialog.value === dialog) app.dialog.value = null;
  };
  switch (dialog.kind) {
    case "new":
      return <NewConversationDialog onClose={close} />;
    case "switch":
      return <SwitcherDialog onClose={close} />;
    case "channels":
      return <ChannelsDialog onClose={close} />;
    case "profile":
      return <ProfileDialog onClose={close} />;
    case "add-people":
      return <AddPeopleDialog conversationId={dialog.conversationId} onClose={close} />;
    case "describe":
      return <DescribeDialog conversationId={dialog.conversationId} onClose={close} />;
    case "emoji":
      return <EmojiDialog onPick={dialog.onPick} onClose={close} />;
    case "reactions":
      return <ReactionsDialog conversationId={dialog.conversationId} message={dialog.message} onClose={close} />;
    case "confirm":
      return <ConfirmDialog {...dialog} onClose={close} />;
  }
}
