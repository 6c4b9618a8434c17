#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { packageRoot } from '../driver/package-root.ts';
import { addCheck } from './commands/check.ts';
import { addCompile } from './commands/compile.ts';
import { addDeclare } from './commands/declare.ts';
import { addFormat } from './commands/format.ts';
import { addRun } from './commands/run.ts';
import { reportFailure } from './exit.ts';
import { createOutput } from './output.ts';

const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as {
  version: string;
};

const command = new Command('ricci')
  .description('A typed functional dataflow language for models, and its compiler')
  .version(version)
  .exitOverride()
  .showHelpAfterError('(add --help for the options)');

for (const add of [addCheck, addFormat, addCompile, addRun, addDeclare]) add(command);
for (const each of command.commands) each.exitOverride().showHelpAfterError('(add --help for the options)');

try {
  await command.parseAsync();
} catch (error) {
  process.exitCode = reportFailure(error, createOutput(process.argv.includes('--json')));
}
