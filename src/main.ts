#!/usr/bin/env node
console.log('autotorrent');
