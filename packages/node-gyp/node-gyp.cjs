#!/usr/bin/env node
// The install script of an addon calls this where it would compile. Why it must not: native-notes/fuse-native.md.
const { basename } = require('node:path');

console.log(`${basename(process.cwd())}: not compiled; its prebuilt binary is used where there is one`);
