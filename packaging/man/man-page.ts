import type { Command } from 'commander'
import { commandLine } from '../../src/cli/command-line.js'
import { COMMANDS } from '../../src/cli/commands.js'
import { allCommands } from '../../src/cli/complete.js'

/** A text in roff (groff(7)), in which a backslash, a hyphen and the first character of a line can mean something else. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll(/^(?=[.'])/gm, '\\&')
}

const paragraph = (term: string, text: string) => `.TP\n.B ${roff(term)}\n${roff(text)}\n`

function section([name, command]: [string, Command]): string {
  const help = command.createHelp()
  const options = help
    .visibleOptions(command)
    .map((it) => paragraph(help.optionTerm(it), help.optionDescription(it)))
  const args = help
    .visibleArguments(command)
    .map((it) => paragraph(help.argumentTerm(it), help.argumentDescription(it)))
  const usage = help.commandUsage(command)
  return `.SS ${roff(name)}\n.B ${roff(usage)}\n.PP\n${roff(command.description())}\n${[...args, ...options].join('')}`
}

/**
 * The manual page of the program, made from the definitions of its commands.
 * @param date of the page, such as 2026-01-31
 */
export async function manPage(version: string, date: string): Promise<string> {
  const commands = allCommands(await commandLine(COMMANDS)).map(section)
  return `.TH UDPTUN\\-FAST 8 "${date}" "udptun\\-fast ${version}" "System Administration"
.SH NAME
udptun\\-fast, udptun\\-fast\\-wg \\- private Ethernet over any IP network
.SH SYNOPSIS
.B udptun\\-fast
.I command
.RI [ argument ...]
.SH DESCRIPTION
Each host gets a network device, and its frames travel to the other hosts in UDP. With keys, what it carries is sealed by
WireGuard's protocol.
.PP
As a service of systemd, a tunnel is
.BI udptun\\-fast@ name ,
and its settings are in
.IR /etc/udptun\\-fast/name.yaml .
.PP
.B udptun\\-fast\\-wg
makes a WireGuard device for
.BR wg (8)
and
.BR wg\\-quick (8);
.B udptun\\-fast\\-wg \\-\\-help
says how.
.SH COMMANDS
${commands.join('')}.SH FILES
${paragraph('/etc/udptun-fast/<name>.yaml', 'The settings of the tunnel that udptun-fast@<name> starts.')}${paragraph('/var/lib/udptun-fast', 'What this host keeps: MAC addresses, and which keys members had.')}${paragraph('/run/udptun-fast', 'The sockets by which running tunnels are asked.')}.SH SIGNALS
${paragraph('SIGTERM, SIGINT', 'End a tunnel and remove its device.')}${paragraph('SIGHUP', 'Reads the file of settings again.')}.SH ENVIRONMENT
${paragraph('UDPTUN_TRACE', 'If it is set, errors come with a stack trace.')}${paragraph('NO_COLOR', 'If it is set, nothing has colours.')}.SH EXIT STATUS
${paragraph('0', 'It has done what was asked, or was ended by SIGTERM or SIGINT.')}${paragraph('1', 'Something went wrong; or no ping was answered.')}${paragraph('2', 'There is a mistake in the call or in the settings.')}.SH SEE ALSO
.BR wg (8),
.BR ip\\-link (8),
.BR systemd.service (5)
`
}
