/* IP headers: parsing with every length checked, and the TOS byte with its ECN bits. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <convoy/packet/csum.h>
#include <convoy/packet/ip.h>

static int parse_ip4(const uint8_t *data, size_t len, struct cv_ip *ret_ip)
{
	const struct cv_ip4 *header = (const void *)data;
	size_t header_len, total;

	if (len < sizeof(*header))
		return -EINVAL;
	header_len = (header->version_ihl & 15) * (size_t)4;
	total = cv_be16_get(header->tot_len);
	if (header_len < sizeof(*header) || total < header_len || total > len)
		return -EINVAL;
	*ret_ip = (struct cv_ip){
		.family = AF_INET,
		.protocol = header->protocol,
		.tos = header->tos,
		.fragment = cv_be16_get(header->frag) & (CV_IP4_MF | CV_IP4_OFFSET_MASK),
		.l4 = (uint16_t)header_len,
		.len = (uint32_t)total,
		.src.family = AF_INET,
		.dst.family = AF_INET,
	};
	memcpy(ret_ip->src.b, header->src, sizeof(header->src));
	memcpy(ret_ip->dst.b, header->dst, sizeof(header->dst));
	return 0;
}

static int parse_ip6(const uint8_t *data, size_t len, struct cv_ip *ret_ip)
{
	const struct cv_ip6 *header = (const void *)data;
	size_t total;

	if (len < sizeof(*header))
		return -EINVAL;
	total = sizeof(*header) + cv_be16_get(header->payload_len);
	if (total > len)
		return -EINVAL;
	*ret_ip = (struct cv_ip){
		.family = AF_INET6,
		.protocol = header->next_header,
		.tos = cv_ip_tos(data),
		.l4 = sizeof(*header),
		.len = (uint32_t)total,
		.src.family = AF_INET6,
		.dst.family = AF_INET6,
	};
	memcpy(ret_ip->src.b, header->src, sizeof(header->src));
	memcpy(ret_ip->dst.b, header->dst, sizeof(header->dst));
	return 0;
}

int cv_ip_parse(const uint8_t *data, size_t len, struct cv_ip *ret_ip)
{
	if (len == 0)
		return -EINVAL;
	switch (data[0] >> 4) {
	case 4:
		return parse_ip4(data, len, ret_ip);
	case 6:
		return parse_ip6(data, len, ret_ip);
	default:
		return -EINVAL;
	}
}

uint8_t cv_ip_tos(const uint8_t *data)
{
	if (data[0] >> 4 == 4)
		return data[1];
	return (uint8_t)(data[0] << 4 | data[1] >> 4);
}

/* HC' = ~(~HC + ~m + m'), RFC 1624, section 3; m is the word of version, IHL and TOS. */
static void set_tos4(struct cv_ip4 *header, uint8_t tos)
{
	const uint8_t old[2] = { (uint8_t)~header->version_ihl, (uint8_t)~header->tos };
	const uint8_t csum[2] = { (uint8_t)~header->csum.b[0], (uint8_t)~header->csum.b[1] };
	cv_csum sum;

	header->tos = tos;
	sum = cv_csum_add(0, csum, 2);
	sum = cv_csum_add(sum, old, 2);
	sum = cv_csum_add(sum, header, 2);
	header->csum = cv_csum_field(sum);
}

void cv_ip_set_tos(uint8_t *data, uint8_t tos)
{
	if (data[0] >> 4 == 4) {
		set_tos4((void *)data, tos);
		return;
	}
	data[0] = (uint8_t)((data[0] & 0xf0) | tos >> 4);
	data[1] = (uint8_t)((data[1] & 0x0f) | tos << 4);
}

uint8_t cv_ecn_encapsulate(uint8_t inner_tos)
{
	uint8_t ecn = inner_tos & CV_ECN_MASK;

	return ecn == CV_ECN_CE ? CV_ECN_ECT0 : ecn;
}

bool cv_ecn_decapsulate(uint8_t *data, uint8_t outer_tos)
{
	uint8_t tos;

	if ((outer_tos & CV_ECN_MASK) != CV_ECN_CE)
		return true;
	tos = cv_ip_tos(data);
	if ((tos & CV_ECN_MASK) == CV_ECN_NOT_ECT)
		return false;
	if ((tos & CV_ECN_MASK) != CV_ECN_CE)
		cv_ip_set_tos(data, tos | CV_ECN_CE);
	return true;
}
