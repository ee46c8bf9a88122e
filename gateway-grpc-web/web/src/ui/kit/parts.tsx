/**
 * The small parts that everything is made of: buttons, avatars, badges, empty states.
 */
import type { ComponentChildren, JSX, Ref } from "preact";
import { Icon, type IconName } from "../icons";
import { hueOf, initialsOf } from "../text/names";

/** A button that shows an icon only; its label is what it is called by. */
export function IconButton(props: {
  readonly icon: IconName;
  readonly label: string;
  readonly onClick: (event: MouseEvent) => void;
  readonly small?: boolean;
  readonly class?: string;
  readonly disabled?: boolean;
  readonly expanded?: boolean | undefined;
  readonly pressed?: boolean | undefined;
  readonly tabIndex?: number;
  readonly children?: ComponentChildren;
}): JSX.Element {
  return (
    <button
      type="button"
      class={`icon-button ${props.small === true ? "icon-button-small" : ""} ${props.class ?? ""}`}
      aria-label={props.label}
      title={props.label}
      disabled={props.disabled}
      aria-expanded={props.expanded}
      aria-pressed={props.pressed}
      tabIndex={props.tabIndex}
      onClick={props.onClick}
    >
      <Icon name={props.icon} class={props.small === true ? "icon-small" : ""} />
      {props.children}
    </button>
  );
}

/** A button with words. */
export function Button(props: {
  readonly children: ComponentChildren;
  readonly onClick?: (event: MouseEvent) => void;
  readonly kind?: "primary" | "danger" | "plain";
  readonly submit?: boolean;
  readonly small?: boolean;
  readonly wide?: boolean;
  readonly disabled?: boolean;
  readonly icon?: IconName;
  readonly buttonRef?: Ref<HTMLButtonElement>;
}): JSX.Element {
  const classes = ["button"];
  if (props.kind !== undefined) classes.push(`button-${props.kind}`);
  if (props.small === true) classes.push("button-small");
  if (props.wide === true) classes.push("button-wide");
  return (
    <button
      type={props.submit === true ? "submit" : "button"}
      class={classes.join(" ")}
      disabled={props.disabled}
      onClick={props.onClick}
      ref={props.buttonRef ?? null}
    >
      {props.icon !== undefined && <Icon name={props.icon} class="icon-small" />}
      {props.children}
    </button>
  );
}

/** How present somebody is, as far as we know. */
export type Presence = "online" | "away" | "offline";

/** A person or a group, as initials or a sign on a colour of their own. */
export function Avatar(props: {
  readonly id: string;
  readonly name: string;
  readonly icon?: IconName | undefined;
  readonly size?: "tiny" | "small" | "large" | undefined;
  readonly presence?: Presence | undefined;
}): JSX.Element {
  const size = props.size === undefined ? "" : `avatar-${props.size}`;
  return (
    <span class={`avatar ${size} hue-${hueOf(props.id)}`} aria-hidden="true">
      {props.icon === undefined ? initialsOf(props.name) : <Icon name={props.icon} />}
      {(props.presence === "online" || props.presence === "away") && (
        <span class={`presence presence-${props.presence}`} />
      )}
    </span>
  );
}

/** What is shown where there is nothing: what it is, and what to do. */
export function Empty(props: {
  readonly icon: IconName;
  readonly title: string;
  readonly children?: ComponentChildren;
}): JSX.Element {
  return (
    <div class="empty">
      <Icon name={props.icon} />
      <p class="empty-title">{props.title}</p>
      {props.children}
    </div>
  );
}

/** A number that asks for attention; 99+ above 99. */
export function Badge(props: { readonly count: number; readonly quiet?: boolean; readonly label: string }): JSX.Element {
  return (
    <span class={`badge ${props.quiet === true ? "badge-quiet" : ""}`}>
      <span aria-hidden="true">{props.count > 99 ? "99+" : props.count}</span>
      <span class="visually-hidden">{props.label}</span>
    </span>
  );
}
