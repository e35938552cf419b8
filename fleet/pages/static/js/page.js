// SPDX-License-Identifier: Apache-2.0
// Starts what a page asks for. Everything works without scripts but what is live, the map, and sending a file.
import { startKeys } from "./keys.js";
import { startLive } from "./live.js";
import { startLog } from "./log.js";
import { startMap } from "./map.js";
import { startParts } from "./parts.js";
import { startPreview } from "./preview.js";
import { startUpload } from "./upload.js";

startParts();
startKeys();
startMap();
startLog();
startUpload();
startPreview();
startLive();
