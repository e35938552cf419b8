// SPDX-License-Identifier: Apache-2.0
// Statistics over readings that come as arguments, written as JSON.
const readings = scriptArgs.slice(1).map(Number);
if (readings.length === 0 || readings.some(Number.isNaN)) {
    console.error("readings, please: numbers as arguments");
    exit(2);
}
const sum = readings.reduce((total, one) => total + one, 0);
console.log(JSON.stringify({
    site: environment.SITE ?? "nowhere",
    count: readings.length,
    mean: sum / readings.length,
    range: [Math.min(...readings), Math.max(...readings)],
}));
