// Reads a status page with the client `statuspage.io` of npm. Arguments: its folder, the page's address. Prints one JSON object.
const [folder, page] = process.argv.slice(2);
const { Statuspage } = require(require.resolve("statuspage.io", { paths: [folder] }));

const client = new Statuspage("shop");
client.setApiUrl(page);
const { api } = client;
(async () => {
  const read = {
    summary: await api.getSummary(),
    status: await api.getStatus(),
    components: await api.getComponents(),
    incidents: await api.incidents.getAll(),
    unresolved: await api.incidents.getUnresolved(),
    upcoming: await api.scheduledMaintenances.getUpcoming(),
  };
  console.log(JSON.stringify(read));
})();
