/**
 * Every word of the interface, in one place.
 */
import type { ConversationType, Notice, Obstacle, Role, SessionError } from "../session/index";

/** What refusals mean to the person in front of the screen; the rest is said by their kind. */
const REASONS: Readonly<Record<string, string>> = {
  RATE_LIMITED: "That was too fast. Wait a moment, then try again.",
  OVERLOADED: "The server is busy. Wait a moment, then try again.",
  TOKEN_EXPIRED: "Your sign-in has expired.",
  CONVERSATION_NOT_FOUND: "This conversation does not exist, or you are not in it.",
  CONVERSATION_ARCHIVED: "This conversation is archived: nobody can write in it.",
  CONVERSATION_DELETED: "This conversation was deleted.",
  NOT_A_PARTICIPANT: "You are not in this conversation any more.",
  ROLE_TOO_LOW: "Your role here does not allow that.",
  MUTED: "A moderator has muted you here.",
  BANNED: "That person is banned from this conversation.",
  BLOCKED: "One of you has blocked the other.",
  TOO_MANY_PARTICIPANTS: "This conversation cannot take more people.",
  PARTICIPANT_NOT_FOUND: "They are not in this conversation.",
  ALREADY_A_PARTICIPANT: "They are in this conversation already.",
  OWNER_MUST_TRANSFER: "Make somebody else the owner before you leave.",
  MESSAGE_NOT_FOUND: "That message is not there any more.",
  MESSAGE_DELETED: "That message was deleted.",
  REACTION_EXISTS: "You have reacted with that already.",
  TOO_MANY_REACTIONS: "That message has as many reactions as it can.",
  TOO_MANY_EDITS: "That message was edited too many times.",
  TOO_MANY_PINS: "50 messages are pinned: unpin one first.",
  CONTENT_REFUSED: "A rule of this server refuses that text.",
};

function failure(error: SessionError): string {
  const known = REASONS[error.reason];
  if (known !== undefined) return known;
  const violation = error.details.violations?.[0];
  if (violation !== undefined) return `${violation.field}: ${violation.description}`;
  if (error.kind === "unreachable" || error.kind === "timed-out") {
    return "There is no connection to the server.";
  }
  return error.message === "" ? "That did not work." : `That did not work: ${error.message}`;
}

function people(count: number): string {
  return count === 1 ? "1 person" : `${count} people`;
}

const OBSTACLES: Readonly<Record<Obstacle, string>> = {
  "not-a-participant": "You are no longer in this conversation. You can read what was said before you left.",
  banned: "You are banned from this conversation.",
  deleted: "This conversation was deleted.",
  archived: "This conversation is archived: everyone can read, nobody can write.",
  blocked: "One of you has blocked the other, so neither can write here.",
  muted: "A moderator has muted you. You can read, but not write.",
  channel: "Only admins write in this channel. You can read and react.",
};

type NoticeText = (actor: string, whom: string, title: string, self: boolean) => string;

const NOTICES: Readonly<Record<Notice["kind"], NoticeText>> = {
  created: (actor) => `${actor} began the conversation`,
  renamed: (actor, _, title) => (title === "" ? `${actor} changed the conversation` : `${actor} named it “${title}”`),
  archived: (actor) => `${actor} archived the conversation for everyone`,
  unarchived: (actor) => `${actor} opened the conversation again`,
  deleted: (actor) => `${actor} deleted the conversation`,
  restored: (actor) => `${actor} restored the conversation`,
  joined: (actor, whom, _, self) => (self ? `${actor} joined` : `${actor} added ${whom}`),
  left: (_, whom) => `${whom} left`,
  removed: (actor, whom) => `${actor} removed ${whom}`,
  role: (actor, whom) => `${actor} changed the role of ${whom}`,
  muted: (actor, whom) => `${actor} stopped ${whom} from writing`,
  unmuted: (actor, whom) => `${actor} let ${whom} write again`,
  banned: (actor, whom) => `${actor} banned ${whom}`,
  pinned: (actor) => `${actor} pinned a message`,
};

const ROLES: Readonly<Record<Role, string>> = { member: "Member", admin: "Admin", owner: "Owner" };

const EMOJI_GROUP_NAMES: Readonly<Record<string, string>> = {
  smileys: "Smileys",
  people: "People",
  nature: "Animals and nature",
  food: "Food and drink",
  travel: "Travel and places",
  activities: "Activities",
  objects: "Objects",
  symbols: "Symbols",
  flags: "Flags",
};

/** The words. Functions where something is put into them. */
export const strings = {
  product: "Confab",
  you: "You",
  two: (one: string, other: string) => `${one} and ${other}`,
  andMore: (names: string, more: number) => `${names} and ${more} more`,
  close: "Close",
  closePanel: "Close panel",
  cancel: "Cancel",
  save: "Save",
  add: "Add",
  open: "Open",
  join: "Join",
  create: "Create",
  back: "Back to the list",
  loading: "Loading…",
  tryAgain: "Try again",
  discard: "Discard",
  failure,

  // Sign-in
  connecting: "Connecting…",
  serverUnreachable: "The server does not answer. Is it running?",
  devIntro: "Two people are ready. Open one here and the other in a second window, and let them talk.",
  openAs: (name: string) => `Open as ${name}`,
  inThisWindow: "In this window",
  inSecondWindow: "In a second window",
  anotherName: "Or use another name",
  openAction: "Open",
  userIdRule: "Use letters, digits and . _ - @, at most 64 characters.",
  devNote: "This server runs in dev mode: it signs in whoever asks, on this computer only.",
  devTokenRefused: (user: string) => `The server gives no token for “${user}”.`,
  token: "Access token",
  tokenHint: "A token of your identity provider. It stays in this tab and is gone when you close it.",
  tokenRefused: "This token was not accepted. Use another one.",
  signIn: "Sign in",
  signOut: "Sign out",
  signInEnded: "Your sign-in has ended. Sign in again to go on.",
  endedElsewhere: "This session was ended from another place.",

  // The list
  conversations: "Conversations",
  filterConversations: "Filter conversations",
  newConversation: "New conversation",
  accountMenu: "Account menu",
  yourName: "Your name",
  displayName: "Display name",
  displayNameHint: "What others see instead of your user id.",
  browseChannels: "Browse channels",
  searchChannels: "Search channels",
  noChannels: "No public channels yet",
  noChannelsHint: "Make one with “New conversation”.",
  switchConversation: "Switch conversation",
  switchPlaceholder: "Go to… (Ctrl+K)",
  themeSystem: "Theme of the system",
  themeLight: "Light theme",
  themeDark: "Dark theme",
  secondWindow: (user: string) => `Open a window as ${user}`,
  archivedConversations: "Archived",
  nothingArchived: "Nothing is archived",
  listFailed: "The list could not be loaded",
  noConversations: "No conversations yet",
  noConversationsHint: "Write to somebody, or make a group.",
  noMatch: "Nothing matches",
  noMessages: "No messages yet",
  muted: "Muted",
  unreadCount: (count: number) => (count === 1 ? "1 unread message" : `${count} unread messages`),
  mentionsYou: (count: number) => (count === 1 ? "1 mention of you" : `${count} mentions of you`),
  directConversation: "Direct conversation",
  untitled: (type: ConversationType) => (type === "channel" ? "Untitled channel" : "Untitled group"),

  // The connection
  connectionLost: "The connection is lost.",
  reconnecting: "Reconnecting…",
  reconnectingIn: (seconds: number) => `Reconnecting in ${seconds} s`,
  tryNow: "Try now",

  // A conversation
  skipToConversation: "Skip to the conversation",
  welcome: "Welcome to Confab",
  chooseConversation: "Choose a conversation",
  welcomeHint: "Pick one from the list, or begin a new one. Ctrl+K goes to any of them.",
  conversationWith: (title: string) => `Conversation: ${title}`,
  conversationFailed: "This conversation could not be opened",
  showPeople: "(show people)",
  conversationMenu: "Conversation menu",
  people: "People",
  peopleCount: people,
  peopleAndOnline: (count: number, online: number) => `${people(count)}, ${online} online`,
  online: "Online",
  away: "Away",
  offline: "Offline",
  lastSeenNow: "Last seen just now",
  lastSeenMinutes: (minutes: number) => `Last seen ${minutes} min ago`,
  lastSeenAt: (time: string) => `Last seen ${time}`,
  mute: "Mute for me",
  unmute: "Unmute for me",
  favourite: "Add to favourites",
  unfavourite: "Remove from favourites",
  archive: "Archive for me",
  unarchive: "Take out of the archive",
  rename: "Rename",
  titleHint: "Everyone in the conversation sees it.",

  // Messages
  messagesOf: (title: string) => `Messages of ${title}`,
  newMessages: "New messages",
  beginning: (direct: boolean, title: string) =>
    direct ? `This is the beginning of your conversation with ${title}.` : `This is the beginning of ${title}.`,
  createdAt: (time: string) => `Created ${time}`,
  today: "Today",
  yesterday: "Yesterday",
  notices: NOTICES,
  edited: "edited",
  deletedMessage: "This message was deleted",
  hiddenMessage: "This message is from before you joined",
  messageLabel: (sender: string, text: string, time: string, progress: string) =>
    `${sender}: ${text}, ${time}${progress === "" ? "" : `, ${progress}`}`,
  announcement: (sender: string, text: string) => `${sender}: ${text}`,
  progress: {
    sending: "Sending",
    waiting: "Waiting for the connection",
    failed: "Not sent",
    sent: "Sent",
    delivered: "Delivered",
    read: "Read",
  },
  notSent: "Message not sent",
  waitingForConnection: "Will be sent when the connection is back",
  notSentBecause: (error: SessionError | null) => (error === null ? "Not sent." : `Not sent. ${failure(error)}`),
  jumpToLatest: (count: number) => (count === 0 ? "Jump to the latest message" : `Jump to ${count} new messages`),
  messageNotFound: "That message is not there any more.",
  typing: (names: string, count: number) =>
    names === "" ? "typing…" : `${names} ${count === 1 ? "is" : "are"} typing…`,

  // What can be done with a message
  react: "React",
  reactWith: (emoji: string) => `React with ${emoji}`,
  moreReactions: "More reactions",
  reply: "Reply",
  openThread: "Open thread",
  moreActions: "More actions",
  copyText: "Copy text",
  copied: "Copied",
  notCopied: "The browser did not allow the copy.",
  pin: "Pin for everyone",
  unpin: "Unpin",
  edit: "Edit",
  delete: "Delete",
  deleteMessageTitle: "Delete this message?",
  deleteMessageText: "What it says is erased for everyone, for ever.",
  reactions: "Reactions",
  reactionLabel: (emoji: string, count: number) => `${emoji} ${count}`,
  whoReacted: "Who reacted",
  replies: (count: number) => (count === 1 ? "1 reply" : `${count} replies`),
  inThread: "In a thread",
  thread: "Thread",
  replyInThread: "Reply in thread",
  olderReplies: "Older replies",
  pinnedMessage: "Pinned message:",
  pinnedMessages: "Pinned messages",
  pinnedCount: (count: number) => `${count} pinned`,
  nothingPinned: "Nothing is pinned",
  nothingPinnedHint: "Pin a message from its menu, and everyone finds it here.",

  // Composing
  messageTo: (title: string) => `Message to ${title}`,
  writeAMessage: "Write a message",
  send: "Send",
  insertEmoji: "Insert an emoji",
  replyingTo: (name: string) => `Replying to ${name}`,
  editingMessage: "Editing your message",
  mentionSomebody: "Mention somebody",
  obstacles: OBSTACLES,
  until: (time: string) => `Until ${time}.`,

  // Finding
  find: "Find in this conversation",
  findInConversation: "Find in this conversation",
  findOlder: "Find older",
  findNewer: "Find newer",
  searchingAt: (day: string) => `Searching… ${day}`,
  searchFailed: "The search stopped: no connection.",
  nothingFound: "Nothing found",
  noMoreFound: "No more found",

  // People
  roles: ROLES,
  nameAndYou: (name: string) => `${name} (you)`,
  mayNotWrite: "may not write",
  addPeople: "Add people",
  showMore: (count: number) => `Show more (${count})`,
  leaveConversation: "Leave conversation",
  leaveTitle: "Leave this conversation?",
  leaveText: "You can read what was said so far, but nothing that comes after. Somebody has to add you again.",
  actionsFor: (name: string) => `Actions for ${name}`,
  writeTo: (name: string) => `Write to ${name}`,
  makeAdmin: "Make admin",
  makeMember: "Make member",
  makeOwner: "Make owner",
  makeOwnerTitle: (name: string) => `Make ${name} the owner?`,
  makeOwnerText: "You become an admin. Only the new owner can undo it.",
  stopWriting: "Stop from writing",
  letWrite: "Let write again",
  remove: "Remove",
  removeTitle: (name: string) => `Remove ${name}?`,
  removeText: "They can read what was said so far, but nothing that comes after.",
  block: "Block",
  unblock: "Unblock",
  searchPeople: "Name or user id",
  searching: "Searching…",
  nobodyYet: "Nobody else has signed in yet. Type any user id.",
  nobodyFound: "Nobody found. Type a whole user id.",
  notSeenYet: (userId: string) => `@${userId}, has not signed in yet`,
  chosenPeople: "Chosen people",
  removeChoice: (name: string) => `${name}: take out`,

  // A new conversation
  kindOfConversation: "Kind of conversation",
  kinds: { direct: "Direct", group: "Group", channel: "Channel" },
  kindNotes: {
    direct: "You and one other person.",
    group: "Everybody writes. Up to 1,000 people.",
    channel: "Admins write, everybody else reads and reacts.",
  },
  title: "Title",
  titleExamples: { direct: "", group: "Weekend trip", channel: "Announcements" },
  anyoneMayJoin: "Anyone may find it and join",

  // Emoji
  emoji: "Emoji",
  often: "Often used",
  searchEmoji: "Search emoji",
  emojiGroups: "Groups of emoji",
  emojiGroupNames: EMOJI_GROUP_NAMES,
} as const;
