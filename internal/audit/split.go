package audit

// splitMargin is room for `,"part":1048576,"parts":1048576,"keys":[],"rows":[]` beside what is counted one by one.
const splitMargin = 128

// Split divides e into parts that each encode to at most [MaxEntryBytes]. Keys and Rows are dealt out in order, keys
// first; everything else is repeated, so that each part can be read and filtered by itself. An entry that fits, which is
// the usual case, comes back alone and unnumbered. The parts share the memory of e.
func Split(e Entry) []Entry {
	if e.bound() <= MaxEntryBytes {
		return []Entry{e}
	}
	keys, rows := e.Keys, e.Rows
	e.Keys, e.Rows, e.Part, e.Parts = nil, nil, 0, 0
	scratch := e.AppendCanonical(nil)
	room := MaxEntryBytes - splitMargin - len(scratch)

	var parts []Entry
	k, r := 0, 0 // first key and row of the part that is being filled
	used := 0
	finish := func(i, j int) {
		part := e
		part.Keys, part.Rows = keys[k:i:i], rows[r:j:j]
		parts = append(parts, part)
		k, r, used = i, j, 0
	}
	for i, key := range keys {
		scratch = appendString(scratch[:0], key, maxPath)
		if used+len(scratch)+1 > room {
			finish(i, 0)
		}
		used += len(scratch) + 1
	}
	for j := range rows {
		scratch = appendRow(scratch[:0], &rows[j])
		if used+len(scratch)+1 > room {
			finish(len(keys), j)
		}
		used += len(scratch) + 1
	}
	finish(len(keys), len(rows))
	if len(parts) > 1 {
		for i := range parts {
			parts[i].Part, parts[i].Parts = i+1, len(parts)
		}
	}
	return parts
}

// bound is at least the encoded size of e. It is exact enough to let every ordinary entry pass without encoding it.
func (e *Entry) bound() int {
	const names = 400 // all keys, quotes, colons, commas and integers of the fixed fields
	n := names
	for _, s := range [...]string{e.ID, e.Action, e.Outcome, e.Reason, e.Actor.Kind, e.Actor.ID, e.Actor.Name, e.Actor.Token,
		e.Org, e.Project, e.Env, e.Address, e.Agent, e.Request, e.Dialect} {
		n += textBound(s, maxText)
	}
	n += textBound(e.Path, maxPath)
	for _, k := range e.Keys {
		n += textBound(k, maxPath) + len(`"",`)
	}
	for i := range e.Rows {
		n += textBound(e.Rows[i].T, maxText) + textBound(e.Rows[i].K, maxText) + 64 + len(`{"d":"","k":"","t":""},`)
	}
	for k, v := range e.Detail {
		n += textBound(k, maxText) + textBound(v, maxText) + len(`"":"",`)
	}
	return n
}

// textBound is the most bytes that s can take: each byte at most the six of \u0000, together at most limit.
func textBound(s string, limit int) int { return min(6*len(s), limit) }
