// Command openbao is the text of the command vault, compiled against OpenBao's fork of the library. The tests write it; this
// file pins the version.
package main

import _ "github.com/openbao/openbao/api/v2"
