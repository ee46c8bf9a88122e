/**
 * Components that are drawn anew only when one of their properties is another object: what makes a
 * list of many rows cheap. (Preact has this in its compat package, which is bigger than all of ours.)
 */
import { Component, type ComponentChildren, type ComponentType } from "preact";

function sameProps(one: object, other: object): boolean {
  const before = Object.entries(one);
  const after = new Map<string, unknown>(Object.entries(other));
  return before.length === after.size && before.every(([key, value]) => after.get(key) === value);
}

/** Wraps a function component. */
export function memo<Props extends object>(draw: (props: Props) => ComponentChildren): ComponentType<Props> {
  return class Memo extends Component<Props> {
    override shouldComponentUpdate(next: Readonly<Props>): boolean {
      return !sameProps(this.props, next);
    }
    override render(props: Readonly<Props>): ComponentChildren {
      return draw(props as Props);
    }
  };
}
