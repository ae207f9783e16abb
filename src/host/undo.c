/* Undoing what a tunnel left behind that did not come to do it itself. */
#include <netinet/in.h>

#include <convoy/netlink/netlink.h>

#include "internal.h"

/* The routes went away with the interface, but the rules that led to them are still there. As
 * wg-quick does, the rule beside ours goes as well. */
static void remove_rules(struct cv_host_state *state)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	struct cv_netlink *nl;

	if (cv_netlink_open(&nl) < 0)
		return;
	for (int i = 0; i < 2; i++)
		if (cv_rule_delete_not_marked(nl, families[i], state->mark, state->mark) == 0)
			cv_rule_delete_main_specifics(nl, families[i]);
	cv_netlink_close(nl);
	state->mark = 0;
}

bool cv_host_undo(struct cv_host_state *state, bool kill_switch_too)
{
	bool something = state->dns || state->guard || state->src_valid_mark >= 0 || state->mark;

	if (state->dns != CV_HOST_DNS_NONE)
		cv_dns_restore(state);
	else /* /run is empty after a power loss, /etc is not */
		something |= cv_resolvconf_restore(state->name);
	if (state->mark)
		remove_rules(state);
	cv_guard_remove(state);
	if (kill_switch_too && state->kill_switch)
		something |= cv_killswitch_remove(state) == 0;
	return something;
}
