/* One hello a session of ours; three that nobody answered make the peer a foreign one. */
#include <convoy/peer/extension.h>

void cv_extension_forget(struct cv_extension *extension)
{
	extension->state = CV_EXTENSION_UNKNOWN;
	extension->unanswered = 0;
}

bool cv_extension_greets(struct cv_extension *extension, const struct cv_endpoint *where)
{
	if (extension->off)
		return false;
	if (!cv_endpoint_equal(&extension->where, where))
		cv_extension_forget(extension);
	if (extension->unanswered == CV_EXTENSION_HELLOS) {
		extension->state = CV_EXTENSION_FOREIGN;
		return false;
	}
	extension->where = *where;
	extension->unanswered++;
	return true;
}

bool cv_extension_heard(struct cv_extension *extension)
{
	if (extension->off)
		return false;
	extension->state = CV_EXTENSION_CONVOY;
	extension->unanswered = 0;
	return true;
}
