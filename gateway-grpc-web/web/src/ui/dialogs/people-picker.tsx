/**
 * Choosing people: a field that searches the tenant's profiles and takes any user id as it is, a list
 * of what was found, and those who are chosen.
 */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Person } from "../../session/index";
import { Icon } from "../icons";
import { roveVertically } from "../kit/focus";
import { Avatar } from "../kit/parts";
import { useApp } from "../state/app";
import { nameOfPerson, useNames } from "../state/people";
import { isUserId } from "../state/signin";
import { strings } from "../strings";

const WAIT_MS = 150;

/** People who match a query, as the server finds them; the latest answer wins. */
function useFound(query: string, without: ReadonlySet<string>): { readonly people: readonly Person[]; readonly searching: boolean } {
  const { session, me } = useApp();
  const [found, setFound] = useState<readonly Person[]>([]);
  const [searching, setSearching] = useState(true);
  useEffect(() => {
    let current = true;
    setSearching(true);
    const timer = window.setTimeout(() => {
      session
        .searchPeople(query)
        .catch((): readonly Person[] => [])
        .then((people) => {
          if (!current) return;
          setFound(people);
          setSearching(false);
        });
    }, WAIT_MS);
    return () => {
      current = false;
      window.clearTimeout(timer);
    };
  }, [query]);
  const people = found.filter(({ userId }) => userId !== me && !without.has(userId));
  const exact = people.some(({ userId }) => userId === query);
  if (isUserId(query) && !exact && query !== me && !without.has(query)) {
    return { people: [...people, session.person(query)], searching };
  }
  return { people, searching };
}

/** The picker. With `single`, a choice is made at once by `onPick`. */
export function PeoplePicker(props: {
  readonly chosen: readonly string[];
  readonly without: ReadonlySet<string>;
  readonly single: boolean;
  readonly onPick: (userId: string) => void;
  readonly onDrop: (userId: string) => void;
}): JSX.Element {
  const nameOf = useNames();
  const [query, setQuery] = useState("");
  const list = useRef<HTMLUListElement>(null);
  const trimmed = query.trim().replace(/^@/, "");
  const { people, searching } = useFound(trimmed, props.without);
  return (
    <div>
      <label class="search-field">
        <span class="visually-hidden">{strings.searchPeople}</span>
        <Icon name="search" />
        <input
          class="input"
          type="text"
          data-autofocus
          autocomplete="off"
          placeholder={strings.searchPeople}
          value={query}
          onInput={(event) => setQuery(event.currentTarget.value)}
          onKeyDown={(event) => {
            const first = people[0];
            if (event.key === "ArrowDown") roveVertically(event, list.current, "button");
            if (event.key !== "Enter") return;
            event.preventDefault();
            if (first !== undefined) {
              props.onPick(first.userId);
              setQuery("");
            }
          }}
        />
      </label>
      {!props.single && props.chosen.length > 0 && (
        <ul class="chips" aria-label={strings.chosenPeople}>
          {props.chosen.map((userId) => (
            <li key={userId}>
              <button
                type="button"
                class="chip"
                aria-label={strings.removeChoice(nameOf(userId))}
                onClick={() => props.onDrop(userId)}
              >
                <Avatar id={userId} name={nameOf(userId)} size="tiny" />
                {nameOf(userId)}
                <Icon name="close" />
              </button>
            </li>
          ))}
        </ul>
      )}
      <ul
        ref={list}
        class="picks"
        aria-label={strings.people}
        onKeyDown={(event) => roveVertically(event, list.current, "button")}
      >
        {people.map((person) => (
          <PersonPick
            key={person.userId}
            person={person}
            chosen={props.chosen.includes(person.userId)}
            single={props.single}
            onPick={props.onPick}
            onDrop={props.onDrop}
          />
        ))}
      </ul>
      {people.length === 0 && (
        <p class="dialog-note picks-note" role="status">
          {searching ? strings.searching : trimmed === "" ? strings.nobodyYet : strings.nobodyFound}
        </p>
      )}
    </div>
  );
}

function PersonPick(props: {
  readonly person: Person;
  readonly chosen: boolean;
  readonly single: boolean;
  readonly onPick: (userId: string) => void;
  readonly onDrop: (userId: string) => void;
}): JSX.Element {
  const { person, chosen } = props;
  const name = nameOfPerson(person);
  return (
    <li>
      <button
        type="button"
        class="pick"
        aria-pressed={props.single ? undefined : chosen}
        onClick={() => (chosen ? props.onDrop(person.userId) : props.onPick(person.userId))}
      >
        <Avatar id={person.userId} name={name} size="small" />
        <span class="grow">
          <span class="pick-name line">{name}</span>
          <span class="pick-note line">{person.hasProfile ? `@${person.userId}` : strings.notSeenYet(person.userId)}</span>
        </span>
        {chosen && <Icon name="check" />}
      </button>
    </li>
  );
}
