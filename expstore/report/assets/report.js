// The page of a report: its data is in the element #data.
import { start } from "./app.js";
import { byId } from "./dom.js";
import { embeddedSource } from "./source.js";

start(embeddedSource(JSON.parse(byId("data").textContent)));
