/**
 * Where the page begins.
 */
import { render } from "preact";
import "./ui/styles/tokens.css";
import "./ui/styles/base.css";
import "./ui/styles/kit.css";
import "./ui/styles/avatar.css";
import "./ui/styles/dialog.css";
import "./ui/styles/layout.css";
import "./ui/styles/list.css";
import "./ui/styles/chat.css";
import "./ui/styles/message.css";
import "./ui/styles/below.css";
import "./ui/styles/panel.css";
import { Root } from "./ui/root";

const place = document.getElementById("app");
if (place === null) throw new Error("the page has no place for the app");
render(<Root />, place);
