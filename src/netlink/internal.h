/* A request to rtnetlink: begun with its header, filled with attributes, sent and answered. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <libmnl/libmnl.h>

#include <convoy/base/addr.h>
#include <convoy/netlink/netlink.h>

enum {
	/* Our requests hold a header and at most some ten attributes of 20 bytes. */
	CV_NETLINK_REQUEST_SIZE = 512,
	/* Where answers land; the kernel fills up to 32 KiB a message when dumping. */
	CV_NETLINK_ANSWER_SIZE = 32768,
};

/* Looks at one message of an answer. Return: 0 or -errno, which the request then returns. */
typedef int cv_netlink_handler(const struct nlmsghdr *message, void *arg);

/**
 * cv_netlink_begin() - start a request in the handle's own buffer
 * @flags:	NLM_F_*; NLM_F_REQUEST and NLM_F_ACK are added
 * @header:	of the message's family (struct ifinfomsg, ...), size bytes
 *
 * Return: the message, to which attributes may be added; it lives until cv_netlink_do().
 */
struct nlmsghdr *cv_netlink_begin(struct cv_netlink *nl, uint16_t type, uint16_t flags,
				  const void *header, size_t size);
/* Send what was begun; `handler` (may be NULL) sees the answer's messages but for the ACK. */
int cv_netlink_do(struct cv_netlink *nl, cv_netlink_handler *handler, void *arg);

/* The attributes behind `offset` bytes of payload by their type: ret_attrs[n], NULL: absent. */
void cv_netlink_attrs(const struct nlmsghdr *message, size_t offset,
		      const struct nlattr **ret_attrs, size_t n);
/* The same of the attributes inside of one. */
void cv_netlink_nested(const struct nlattr *nest, const struct nlattr **ret_attrs, size_t n);
/* The value of an attribute that may be absent or too short. */
uint32_t cv_netlink_u32(const struct nlattr *attr, uint32_t otherwise);

/* The address's bytes as an attribute. */
void cv_netlink_put_addr(struct nlmsghdr *message, uint16_t type, const struct cv_addr *addr);
/* Takes an RTM_NEWLINK or RTM_DELLINK apart. */
void cv_link_parse(const struct nlmsghdr *message, struct cv_link *ret_link);

/* The number by which our namespace knows another one; it gets one when it has none. Return: the
 * number, from 0, or -errno. */
int cv_netns_id(struct cv_netlink *nl, int netns_fd);
