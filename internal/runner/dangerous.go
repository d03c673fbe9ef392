package runner

import "strings"

// Dangerous tells whether a variable of this name can make the command, or what it starts, run foreign code or trust
// foreign hosts: whoever may write a secret would then own every machine that reads it. Case does not count, since
// Windows ignores it.
//
// Not in the list on purpose: ENV (POSIX: read by interactive shells only, and a common name of applications), the proxy
// variables (they carry credentials and belong here; TLS guards what passes) and JAVA_OPTS and its like (only start
// scripts read them).
func Dangerous(name string) bool { return danger(name) != "" }

// Reasons, as they appear in the refusal.
const (
	loads  = "it makes the dynamic loader or the C library load foreign code"
	finds  = "it decides which programs or configuration are found"
	shells = "shells run or obey it when they start"
	runs   = "other programs run its value as a command"
	interp = "a language runtime loads code that it names"
	builds = "build tools run what it names"
	trusts = "it changes whom TLS trusts or writes session keys to a file"
)

// danger gives the reason why name is dangerous, or "".
func danger(name string) string {
	name = strings.ToUpper(name)
	for _, family := range []struct{ prefix, reason string }{
		{"LD_", loads},               // LD_PRELOAD, LD_LIBRARY_PATH, LD_AUDIT: ld.so(8), also AIX, Solaris, BSD
		{"DYLD_", loads},             // DYLD_INSERT_LIBRARIES and its like: macOS dyld
		{"BASH_FUNC_", shells},       // exported functions of bash shadow commands (the way of CVE-2014-6271)
		{"GIT_CONFIG", runs},         // GIT_CONFIG_COUNT and its like set core.pager, core.sshCommand, core.hooksPath
		{"CORECLR_PROFILER", interp}, // .NET loads the profiler library
		{"COR_PROFILER", interp},     // the same in the .NET Framework
		{"LUA_INIT", interp},         // also LUA_INIT_5_4: Lua runs it
		{"LUA_PATH", interp},
		{"LUA_CPATH", interp},
	} {
		if strings.HasPrefix(name, family.prefix) {
			return family.reason
		}
	}
	switch name {
	case "GCONV_PATH", // iconv modules are shared libraries
		"LOCPATH", "NLSPATH", // compiled locales and message catalogues with format strings
		"GLIBC_TUNABLES", "MALLOC_TRACE", "GETCONF_DIR", // CVE-2023-4911 and files written or run by libc
		"LIBPATH", "SHLIB_PATH": // loader paths of AIX and HP-UX
		return loads
	case "PATH", "PATHEXT", // which program a bare name means
		"HOME", "USERPROFILE", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "APPDATA", // whose dot files are obeyed
		"COMSPEC", "SYSTEMROOT", "WINDIR", // where Windows finds its shell and libraries
		"HOSTALIASES", "RES_OPTIONS", "LOCALDOMAIN", // where the resolver sends a host name
		"TERMINFO", "TERMINFO_DIRS", "TERMCAP": // parsed by every full-screen program
		return finds
	case "IFS", "CDPATH", "GLOBIGNORE", // change what a script's words mean
		"BASH_ENV", "SHELLOPTS", "BASHOPTS", "PROMPT_COMMAND", // bash sources, sets or runs them
		"PS0", "PS1", "PS2", "PS4", // bash expands commands in prompts, PS4 also in scripts under "set -x"
		"ZDOTDIR", "FPATH": // zsh start-up files and autoloaded functions
		return shells
	case "SHELL", "EDITOR", "VISUAL", "PAGER", "MANPAGER", "BROWSER", // started by many programs
		"LESSOPEN", "LESSCLOSE", "LESSEDIT", // less runs them through a shell
		"SSH_ASKPASS", "SUDO_ASKPASS", "GIT_ASKPASS",
		"GIT_SSH", "GIT_SSH_COMMAND", "GIT_PROXY_COMMAND", "GIT_EDITOR", "GIT_SEQUENCE_EDITOR", "GIT_PAGER",
		"GIT_EXTERNAL_DIFF", "GIT_EXEC_PATH", "GIT_TEMPLATE_DIR", // hooks come from the template
		"RSYNC_RSH", "CVS_RSH", "SVN_SSH":
		return runs
	case "PYTHONSTARTUP", "PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONBREAKPOINT", "PYTHONWARNINGS",
		"PYTHONEXECUTABLE",                                       // modules, or a callable by name
		"NODE_OPTIONS", "NODE_PATH", "NODE_REPL_EXTERNAL_MODULE", // --require FILE
		"PERL5OPT", "PERL5LIB", "PERLLIB", "PERL5DB", // -Mmodule
		"RUBYOPT", "RUBYLIB", // -rfile
		"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH", // -javaagent
		"PHPRC", "PHP_INI_SCAN_DIR", // auto_prepend_file
		"DOTNET_STARTUP_HOOKS", "DOTNET_ADDITIONAL_DEPS", "DOTNET_SHARED_STORE",
		"ERL_FLAGS", "ERL_AFLAGS", "ERL_ZFLAGS", "ELIXIR_ERL_OPTIONS", // -eval
		"R_PROFILE", "R_PROFILE_USER", "R_ENVIRON", "R_ENVIRON_USER",
		"OPENSSL_CONF", "OPENSSL_ENGINES", "OPENSSL_MODULES": // engines and providers are shared libraries
		return interp
	case "MAKEFLAGS", "GNUMAKEFLAGS", "MAKEFILES", // --eval
		"GOFLAGS", "GOENV", "GOTOOLDIR", // -toolexec
		"RUSTC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_RUSTC_WRAPPER",
		"MAVEN_OPTS", "GRADLE_OPTS", // -javaagent
		"NPM_CONFIG_SCRIPT_SHELL", "NPM_CONFIG_NODE_OPTIONS", "NPM_CONFIG_USERCONFIG", "NPM_CONFIG_GLOBALCONFIG":
		return builds
	case "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE",
		"NODE_TLS_REJECT_UNAUTHORIZED", "GIT_SSL_NO_VERIFY", "PYTHONHTTPSVERIFY", "SSLKEYLOGFILE":
		return trusts
	}
	return ""
}
