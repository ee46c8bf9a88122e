/**
 * What stands in the composer's place for somebody who may not write: why, and until when.
 */
import type { JSX } from "preact";
import type { Rights } from "../../session/index";
import { Icon } from "../icons";
import { strings } from "../strings";
import { exactTime } from "../text/time";

/** The notice. It can have the focus, which would else be lost with the composer. */
export function Obstacle(props: { readonly rights: Rights }): JSX.Element | null {
  const { obstacle, obstacleUntil } = props.rights;
  if (obstacle === null) return null;
  const until = obstacleUntil === null ? "" : strings.until(exactTime(new Date(obstacleUntil)));
  return (
    <p class="obstacle" role="status" tabIndex={-1} data-focus-home>
      <Icon name={obstacle === "muted" ? "bellOff" : "warning"} />
      <span>
        {strings.obstacles[obstacle]} {until}
      </span>
    </p>
  );
}
