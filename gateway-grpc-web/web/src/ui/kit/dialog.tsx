/**
 * Dialogs: they take the focus, keep it, and give it back; Escape and the scrim close them.
 */
import type { ComponentChildren, JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { strings } from "../strings";
import { focusableIn, trapTab } from "./focus";
import { useFocusReturn, useLayer } from "./layers";
import { IconButton } from "./parts";

/** A dialog with a title. What has the attribute `data-autofocus` gets the focus first. */
export function Dialog(props: {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
  readonly footer?: ComponentChildren;
  readonly class?: string;
}): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  useLayer(props.onClose);
  useFocusReturn();
  useLayoutEffect(() => {
    const dialog = box.current;
    if (dialog === null) return;
    const wanted = dialog.querySelector<HTMLElement>("[data-autofocus]") ?? focusableIn(dialog)[0];
    (wanted ?? dialog).focus();
  }, []);
  return (
    <div
      class="scrim"
      onPointerDown={(event) => {
        if (event.target === event.currentTarget) props.onClose();
      }}
    >
      <div
        ref={box}
        class={`dialog ${props.class ?? ""}`}
        role="dialog"
        aria-modal="true"
        aria-label={props.title}
        tabIndex={-1}
        onKeyDown={(event) => box.current !== null && trapTab(event, box.current)}
      >
        <div class="dialog-header">
          <h2 class="dialog-title line">{props.title}</h2>
          <IconButton icon="close" label={strings.close} onClick={props.onClose} />
        </div>
        <div class="dialog-body scroll">{props.children}</div>
        {props.footer !== undefined && <div class="dialog-footer">{props.footer}</div>}
      </div>
    </div>
  );
}
