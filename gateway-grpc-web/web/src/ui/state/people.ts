/**
 * What people and conversations are called on the screen.
 */
import type { Conversation, ConversationListItem, Person, Session } from "../../session/index";
import { strings } from "../strings";
import { nameOfId } from "../text/names";
import { useApp } from "./app";
import { useStore } from "./stores";

/** A person's name: what they chose, else their id with a capital letter. */
export function nameOfPerson(person: Person): string {
  return person.hasProfile && person.displayName !== "" ? person.displayName : nameOfId(person.userId);
}

/** Gives the names of people, and draws the component anew when profiles arrive. */
export function useNames(): (userId: string) => string {
  const { session } = useApp();
  useStore(session.people);
  return (userId) => nameOfPerson(session.person(userId));
}

/** Somebody's name outside of a component. */
export function nameNow(session: Session, userId: string): string {
  return nameOfPerson(session.person(userId));
}

/** A conversation's title: its own, in a direct one the other's name. */
export function titleOf(
  conversation: Conversation,
  peerId: string | null,
  nameOf: (userId: string) => string,
): string {
  if (conversation.type === "direct") return peerId === null ? strings.directConversation : nameOf(peerId);
  return conversation.title === "" ? strings.untitled(conversation.type) : conversation.title;
}

/** The title of a row of the list. */
export function titleOfItem(item: ConversationListItem, nameOf: (userId: string) => string): string {
  return titleOf(item.conversation, item.peerId, nameOf);
}

/** "Alice", "Alice and Bob", "Alice, Bob and 3 more". */
export function joinNames(names: readonly string[], shown = 2): string {
  const [first = "", second = ""] = names;
  if (names.length <= 1) return first;
  if (names.length === 2) return strings.two(first, second);
  return strings.andMore(names.slice(0, shown).join(", "), names.length - shown);
}
