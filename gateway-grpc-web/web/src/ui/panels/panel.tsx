/**
 * The pane beside a conversation: people, pins or a thread. On narrow windows it lies above it.
 */
import type { ComponentChildren, JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { useFocusReturn, useLayer } from "../kit/layers";
import { IconButton } from "../kit/parts";
import { useApp } from "../state/app";
import { strings } from "../strings";

/** A panel with a title. It takes the focus when it opens, and gives it back. */
export function PanelFrame(props: { readonly title: string; readonly children: ComponentChildren }): JSX.Element {
  const app = useApp();
  const heading = useRef<HTMLHeadingElement>(null);
  const close = (): void => {
    app.panel.value = null;
  };
  useLayer(close);
  useFocusReturn();
  useLayoutEffect(() => heading.current?.focus(), []);
  return (
    <section class="panel" aria-label={props.title}>
      <header class="header">
        <h2 class="panel-title line" tabIndex={-1} ref={heading}>
          {props.title}
        </h2>
        <IconButton icon="close" label={strings.closePanel} onClick={close} />
      </header>
      {props.children}
    </section>
  );
}
