package policy

import "slices"

// dangerous are the actions for which a session must have been proved a short time ago, so that an unlocked screen or a stolen
// cookie is not enough. Tokens have scopes instead and are not asked.
var dangerous = []Action{KeysManage, BackupManage, AccessManage, AuditManage, AlertManage, ProjectPurge, SecretPurge, ProjectFreeze, InstanceFreeze, SelfManage, BreakPrepare, TransitExport}

// NeedsFresh tells whether an action is dangerous enough to ask a person again who he is.
func NeedsFresh(action Action) bool { return slices.Contains(dangerous, action) }

// personal are the actions for which only a person's own login is good: a token that he made for a program must not be able to
// change his password or to prove anything for him.
var personal = []Action{SelfManage, SelfProve}

// NeedsSession tells whether no token but that of a person's own login may do the action.
func NeedsSession(action Action) bool { return slices.Contains(personal, action) }

// enrolling is what somebody may do who owes a second factor.
var enrolling = []Action{SelfRead, SelfManage, SelfProve, SessionEnd}

// Enrolling tells whether the action is allowed to a person who must enrol a second factor first.
func Enrolling(action Action) bool { return slices.Contains(enrolling, action) }
